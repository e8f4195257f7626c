// The core's obedience to operators: what is paused is not published. Its rows stay in the table,
// or come back to it, as those of a destination that is held or of a key that waits.
#include <utility>

#include "relay/core.hpp"

namespace outboxd::relay {

// What is paused is looked at before anything is read, and again while rows are here that could go,
// or something is to go on one day.
bool core::wants_pauses(time_point now) const {
  if (!leading() || draining_ || store_retry_at_ || pauses_out_) return false;
  if (!pauses_seen_at_) return true;
  if (now - *pauses_seen_at_ < opts_.look_at_pauses) return false;
  return may_be_paused_ || rows_.size() > 0 || !pauses_.now().empty() || wants_read(now);
}

void core::poll_pauses(time_point now, std::vector<action>& todo) {
  for (pause_event& e : pauses_.expire(now)) obey(e, now);
  if (wants_pauses(now)) {
    pauses_out_ = true;
    may_be_paused_ = false;
    pauses_asked_at_ = now;
    todo.emplace_back(do_load_pauses{});
  }
  for (pause_event& e : std::exchange(pause_events_, {}))
    todo.emplace_back(do_tell_pause{std::move(e)});
}

std::optional<time_point> core::next_look_at_pauses() const {
  if (!leading() || draining_ || store_retry_at_) return std::nullopt;
  std::optional<time_point> next = pauses_.next_end();
  const bool looks = may_be_paused_ || rows_.size() > 0 || !pauses_.now().empty();
  if (!looks || pauses_out_ || !pauses_seen_at_) return next;
  const time_point look = *pauses_seen_at_ + opts_.look_at_pauses;
  return std::min(next.value_or(look), look);
}

void core::pauses_loaded(const base::result<std::vector<outbox::pause_in_force>>& told,
                         time_point now) {
  pauses_out_ = false;
  if (told.has_error()) return store_failed(told.error(), now);
  // Not store_worked(): what is wrong may be wrong with the messages alone.
  if (!leading() || draining_) return;
  pauses_seen_at_ = pauses_asked_at_;
  for (pause_event& e : pauses_.update(*told, now)) obey(e, now);
}

void core::forget_pauses() {
  pauses_.clear();
  pauses_seen_at_.reset();
}

void core::obey(pause_event& e, time_point now) {
  const outbox::pause_scope& scope = e.what.what.scope;
  if (scope.exchange) {
    e.began ? pause_exchange(*scope.exchange, now) : resume_exchange(*scope.exchange);
  } else if (scope.ordering_key) {
    if (e.began) {
      apply(keys_.hold(*scope.ordering_key, pause_mark));
    } else {
      keys_.release(*scope.ordering_key, pause_mark);
    }
  } else if (e.began) {
    wake_.reset();
    wake_lock_todo_ = false;  // else every writer would notify, and nobody would read
  } else {
    read_at_ = now;
  }
  pause_events_.push_back(std::move(e));
}

void core::pause_exchange(const std::string& exchange, time_point now) {
  for (row* waited : destinations_.pause_exchange(exchange, now)) {
    waited->state = row_state::queued;
    activate(*waited);
  }
  empty_held_destinations();
}

void core::resume_exchange(const std::string& exchange) {
  destinations_.resume_exchange(exchange);
  skipped_.look_again();
  round_pause_ = {};
}

}  // namespace outboxd::relay
