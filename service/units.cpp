#include "service/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <span>

namespace outboxd::service {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

// Ascending: the formatters take the largest that divides without a remainder.
constexpr std::array duration_units{unit{"ms", 1}, unit{"s", 1'000}, unit{"m", 60'000},
                                    unit{"h", 3'600'000}, unit{"d", 86'400'000}};
constexpr std::array size_units{
    unit{"B", 1},          unit{"kB", 1'000},         unit{"KiB", 1u << 10}, unit{"MB", 1'000'000},
    unit{"MiB", 1u << 20}, unit{"GB", 1'000'000'000}, unit{"GiB", 1u << 30}};
constexpr std::array binary_units{unit{"B", 1}, unit{"KiB", 1u << 10}, unit{"MiB", 1u << 20},
                                  unit{"GiB", 1u << 30}};

std::optional<std::uint64_t> parse(std::string_view text, std::span<const unit> units) {
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_count(text.substr(0, digits));
  if (!number) return std::nullopt;
  if (text == "0") return 0;
  for (const auto& u : units) {
    if (u.name != text.substr(digits)) continue;
    if (*number > largest / u.factor) return std::nullopt;
    return *number * u.factor;
  }
  return std::nullopt;
}

std::string format(std::uint64_t value, std::span<const unit> units) {
  const unit* best = &units.front();
  for (const auto& u : units) {
    if (value != 0 && value % u.factor == 0) best = &u;
  }
  return std::to_string(value / best->factor).append(best->name);
}

}  // namespace

std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto value = parse(text, duration_units);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse(text, size_units);
}

std::string format_duration(std::chrono::milliseconds value) {
  if (value.count() == 0) return "0s";
  return format(static_cast<std::uint64_t>(value.count()), duration_units);
}

std::string format_size(std::uint64_t bytes) {
  return format(bytes, binary_units);
}

}  // namespace outboxd::service
