#include "relay/skipped.hpp"

#include <utility>

namespace outboxd::relay {

std::int64_t skipped_rows::next_piece() {
  if (!running_) {
    running_ = true;
    wanted_ = false;
    const bool from_start = std::exchange(everywhere_, false) || !now_.lowest;
    cursor_ = from_start ? 0 : *now_.lowest - 1;
  }
  return cursor_;
}

void skipped_rows::looked_at(std::int64_t to, bool some_left_out, std::int64_t after) {
  cursor_ = std::max(cursor_, to);
  if (some_left_out) later_.lowest = std::min(later_.lowest.value_or(after + 1), after + 1);
}

void skipped_rows::end_round() {
  running_ = false;
  std::swap(now_, later_);
  later_.clear(++rounds_);
}

void skipped_rows::restart() {
  now_.clear(++rounds_);
  later_.clear(++rounds_);
  running_ = wanted_ = everywhere_ = false;
  cursor_ = 0;
}

}  // namespace outboxd::relay
