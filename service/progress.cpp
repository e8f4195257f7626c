#include "service/progress.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cmath>
#include <ostream>
#include <utility>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

constexpr auto between_changes = 200ms;  // of the line on a terminal
constexpr auto between_lines = 5s;
constexpr const char* back_to_an_empty_line = "\r\x1b[K";

struct pace {
  double rows_per_second = 0;
  std::optional<std::chrono::seconds> left;
};

pace pace_of(std::uint64_t rows, const std::optional<std::uint64_t>& total,
             std::chrono::duration<double> took) {
  pace p;
  if (took.count() <= 0) return p;
  p.rows_per_second = static_cast<double>(rows) / took.count();
  if (total && *total >= rows && p.rows_per_second > 0) {
    const double left = static_cast<double>(*total - rows) / p.rows_per_second;
    p.left = std::chrono::seconds(static_cast<std::int64_t>(std::ceil(left)));
  }
  return p;
}

}  // namespace

std::string rough(std::chrono::seconds time) {
  const auto count = time.count();
  if (count < 120) return std::to_string(count) + " s";
  if (count < 2 * 3600) return std::to_string(count / 60) + " min";
  return std::to_string(count / 3600) + " h " + std::to_string(count / 60 % 60) + " min";
}

progress::progress(std::ostream& to, progress_style style, progress_of what, time_point now)
    : to_(to), style_(style), what_(std::move(what)), began_(now), said_(now) {}

void progress::add(std::uint64_t rows, time_point now) {
  rows_ += rows;
  const bool on_terminal = style_ == progress_style::terminal;
  const std::chrono::milliseconds pause = on_terminal ? between_changes : between_lines;
  if (now - said_ < pause) return;
  said_ = now;
  shown_ = true;
  if (on_terminal) to_ << back_to_an_empty_line;
  to_ << (style_ == progress_style::json ? json(now) : text(now));
  if (!on_terminal) to_ << "\n";
  to_.flush();
}

void progress::clear() {
  if (style_ != progress_style::terminal || !std::exchange(shown_, false)) return;
  to_ << back_to_an_empty_line;
  to_.flush();
}

std::string progress::text(time_point now) const {
  const pace p = pace_of(rows_, what_.total, now - began_);
  std::string line = what_.done + " " + std::to_string(rows_);
  if (what_.total) line += " of " + std::to_string(*what_.total);
  line += " rows";
  if (what_.total && *what_.total > 0)
    line += ", " + std::to_string(std::min<std::uint64_t>(100, rows_ * 100 / *what_.total)) + " %";
  line += ", " + std::to_string(std::llround(p.rows_per_second)) + "/s";
  if (p.left) line += ", " + rough(*p.left) + " left";
  return line;
}

std::string progress::json(time_point now) const {
  const pace p = pace_of(rows_, what_.total, now - began_);
  boost::json::object all{{"action", what_.action}, {"rows", rows_}};
  if (what_.total) all["total"] = *what_.total;
  all["rows_per_second"] = std::llround(p.rows_per_second);
  if (p.left) all["remaining_seconds"] = p.left->count();
  all["done"] = false;
  return boost::json::serialize(all);
}

}  // namespace outboxd::service
