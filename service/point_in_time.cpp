#include "service/point_in_time.hpp"

#include <chrono>
#include <regex>
#include <string>

#include "service/units.hpp"

namespace outboxd::service {
namespace {

bool is_instant(const std::string& text) {
  static const std::regex form(
      R"((\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,6})?)?(?:Z|[+-](\d\d)(?::?([0-5]\d))?))");
  std::smatch parts;
  if (!std::regex_match(text, parts, form)) return false;
  const auto number = [&](std::size_t part) {
    return parts[part].matched ? std::stoi(parts[part]) : 0;
  };
  const std::chrono::year_month_day day{std::chrono::year(number(1)),
                                        std::chrono::month(static_cast<unsigned>(number(2))),
                                        std::chrono::day(static_cast<unsigned>(number(3)))};
  const bool has_day = day.ok() && number(1) > 0;
  const bool has_time = number(4) < 24 && number(5) < 60 && number(6) < 60;
  return has_day && has_time && number(7) < 16;  // no zone is further away, PostgreSQL says
}

}  // namespace

std::optional<outbox::point_in_time> parse_point_in_time(std::string_view text) {
  outbox::point_in_time when;
  if (const auto ago = parse_duration(text)) {
    when.ago = *ago;
    return when;
  }
  when.at = text;
  if (!is_instant(when.at)) return std::nullopt;
  return when;
}

}  // namespace outboxd::service
