// What a verb that works for long says meanwhile: how much is done, how fast, and how long it will
// take. One line that changes on a terminal, a line every few seconds elsewhere, or JSON lines.
// Knows no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace outboxd::service {

enum class progress_style { terminal, lines, json };

struct progress_of {
  std::string action;                  // "replay", for JSON
  std::string done;                    // "replayed", for people
  std::optional<std::uint64_t> total;  // none: not known
};

class progress {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  progress(std::ostream& to, progress_style style, progress_of what, time_point now);

  // So many rows more; says so when it is time to.
  void add(std::uint64_t rows, time_point now);
  // Takes the line away from a terminal.
  void clear();

  std::uint64_t rows() const { return rows_; }

 private:
  std::string text(time_point now) const;
  std::string json(time_point now) const;

  std::ostream& to_;
  progress_style style_;
  progress_of what_;
  time_point began_, said_;
  std::uint64_t rows_ = 0;
  bool shown_ = false;
};

// "38 s", "12 min", "3 h 5 min"
std::string rough(std::chrono::seconds time);

}  // namespace outboxd::service
