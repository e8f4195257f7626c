// Durations and sizes as people write them: a whole number and a unit (500ms, 16MiB). A bare number
// is refused, because nobody can tell milliseconds from seconds by looking at it; only 0 needs no
// unit.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outboxd::service {

inline constexpr std::string_view duration_forms = "500ms, 20s, 5m, 24h or 30d";
inline constexpr std::string_view size_forms =
    "512B, 64KiB, 16MiB or 1GiB (kB, MB and GB count by 1000)";

// Nothing: not a number, no unit, an unknown unit, negative, or too large to be counted in
// milliseconds.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::optional<std::uint64_t> parse_size(std::string_view text);
// A whole number, decimal digits only.
std::optional<std::uint64_t> parse_count(std::string_view text);

// The shortest exact form, in a form that is accepted above.
std::string format_duration(std::chrono::milliseconds value);
std::string format_size(std::uint64_t bytes);

}  // namespace outboxd::service
