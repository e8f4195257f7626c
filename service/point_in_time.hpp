// Times as operators write them. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "outbox/point_in_time.hpp"

namespace outboxd::service {

inline constexpr std::string_view point_in_time_forms =
    "a time with its zone, such as 2026-11-21T10:00:00Z or 2026-11-21T12:00+02:00, or how long "
    "ago, "
    "such as 2h";

// Nothing: neither. A time without a zone is refused, because nobody can tell whose clock is meant.
std::optional<outbox::point_in_time> parse_point_in_time(std::string_view text);

}  // namespace outboxd::service
