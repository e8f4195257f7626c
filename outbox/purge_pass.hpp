// Where the next page of a purge begins. While an old snapshot is held the primary key keeps an
// entry for each row that was purged: a pass that began at the first id would walk over all of
// them, every time. So it begins where the last one found a row that stays, and at the first id
// once an hour: rows that commit late, or are sent again, may lie before it. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace outboxd::outbox {

class purge_pass {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::hours whole_table{1};

  // The page behind this id is looked at now.
  std::int64_t next(time_point now) {
    // The last one was not answered: it may be the way from the first id that is too long.
    if (std::exchange(asked_, true)) begin_at(start_);
    if (between_ && now >= whole_at_) {
      whole_at_ = now + whole_table;
      at_ = 0;
    }
    between_ = false;
    return at_;
  }

  // It ends with this id (0: it is empty), and that is the first row of it that stays. end: none
  // behind it is old enough.
  void looked_at(std::int64_t last, std::optional<std::int64_t> stays, bool end) {
    asked_ = false;
    at_ = std::max(at_, last);
    if (!lowest_) lowest_ = stays;
    if (!end) return;
    start_ = lowest_ ? *lowest_ - 1 : at_;
    begin_at(start_);
  }

 private:
  void begin_at(std::int64_t id) {
    at_ = id;
    lowest_.reset();
    between_ = true;
  }

  std::int64_t at_ = 0;
  std::int64_t start_ = 0;              // of a pass
  std::optional<std::int64_t> lowest_;  // that stays, of the pass so far
  bool asked_ = false;
  bool between_ = true;  // two passes
  time_point whole_at_{};
};

}  // namespace outboxd::outbox
