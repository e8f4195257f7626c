// What the core has the table told: marks and decisions; and what the table tells of rows that
// failed in earlier times.
#include <algorithm>
#include <utility>

#include "relay/core.hpp"

namespace outboxd::relay {

namespace {

using namespace std::chrono_literals;

// One statement's worth: more gains nothing, and a longer statement delays the next one.
constexpr std::size_t marks_at_once = 5'000;
constexpr std::size_t decisions_at_once = 5'000;

// Between two statements that mark, unless there are enough for one: a statement costs the server
// what many rows in it cost, the writers pay for it, and nobody waits for a mark but the end.
constexpr auto gather_marks = 5ms;
constexpr std::size_t enough_marks = 512;

constexpr base::backoff store_backoff{100ms, 5s};

// Rows that somebody else holds: rarely, and yet nobody waits long once they are free.
constexpr auto ask_locked_after = 1s;

constexpr std::size_t failed_rows_per_page = 10'000;
constexpr std::size_t failed_rows_remembered = 200'000;  // one by one
constexpr auto dead_holds_interval = 5s;
// The leader before us may still have written a mark after we read what has failed.
constexpr auto last_words = 15s;

}  // namespace

// ---- marks

void core::settled(const base::result<outbox::settle_answer>& answer, time_point now) {
  if (answer.has_error()) {
    acked_.insert(acked_.begin(), settling_.begin(), settling_.end());
    settling_.clear();
    store_failed(answer.error(), now);
    return;
  }
  store_worked();
  const refs locked(answer->locked.begin(), answer->locked.end());
  for (row* r : std::exchange(settling_, {})) {
    if (is_locked(locked, r->msg.ref)) {
      locked_marks_.push_back(r);
    } else {
      written(*r);
    }
  }
  if (!locked.empty() && !locked_until_) locked_until_ = now + ask_locked_after;
  settle_at_ = now + gather_marks;
}

bool core::may_settle(time_point now) const {
  if (acked_.empty()) return false;
  return now >= settle_at_ || acked_.size() >= enough_marks || draining_ || !leading();
}

bool core::is_locked(const refs& locked, const outbox::row_ref& ref) {
  if (locked.contains(ref)) {
    locked_.insert(ref);
    return true;
  }
  locked_.erase(ref);
  return false;
}

// Behind the others: whoever holds them may still do so.
void core::ask_locked_again() {
  acked_.insert(acked_.end(), locked_marks_.begin(), locked_marks_.end());
  undecided_.insert(undecided_.end(), locked_decisions_.begin(), locked_decisions_.end());
  for (auto& [ref, waiting] : enlisting_) waiting.locked = false;
  locked_marks_.clear();
  locked_decisions_.clear();
  locked_enlisting_ = 0;
  locked_until_.reset();
}

// The table has the last word on this row now.
void core::written(row& r) {
  if (holds_wanted_) written_since_holds_asked_.insert(r.msg.ref);
  rows_.remove(r);
}

void core::store_failed(const base::failure& f, time_point now) {
  store_retry_at_ = now + store_backoff.after(++store_failures_, random_());
  // After a crash the database may hand out ids again that are below the frontier. A statement that
  // was cancelled changes nothing about what is known.
  if (f.kind == base::failure_kind::unavailable) start_over(now);
}

// ---- decisions

// It fell due, but has to wait for others: it becomes one of the rows that wait, which have an
// order. Until that is written nothing of its key behind it may go.
void core::enlist(const outbox::message& m) {
  enlisting_[m.ref] = {m.ordering_key, m.attempts};
  if (m.ordering_key) apply(keys_.hold(*m.ordering_key, m.ref));
}

void core::enlisted(bool in_doubt, const refs& locked, time_point now) {
  for (auto it = enlisting_.begin(); it != enlisting_.end();) {
    const auto& [ref, waiting] = *it;
    if (!waiting.asked) {
      ++it;
      continue;
    }
    it->second.locked = is_locked(locked, ref);
    if (in_doubt || waiting.locked) {
      it->second.asked = false;
      if (waiting.locked) ++locked_enlisting_;
      ++it;
      continue;
    }
    // It is pending now. Or somebody else has changed it since it was read, and then it may be
    // pending too, where reading has passed it.
    if (waiting.key) {
      keys_.put_off(*waiting.key, ref.id);
      keys_.release(*waiting.key, ref);
    } else {
      skipped_.skip(ref.id, std::nullopt, read_out_.has_value());
      look_again_later(now);  // its destination may be free again by now
    }
    if (holds_wanted_) written_since_holds_asked_.insert(ref);
    it = enlisting_.erase(it);
  }
}

std::vector<died> core::decided(const base::result<outbox::decide_answer>& answer, time_point now) {
  std::vector<died> dead;
  std::vector<row*> rows = std::exchange(deciding_, {});
  const bool deciding_out = std::exchange(decide_out_, false);
  if (!deciding_out) return dead;
  if (answer.has_error() && epoch_ == decide_epoch_) {
    undecided_.insert(undecided_.begin(), rows.begin(), rows.end());
    enlisted(true, {}, now);
    store_failed(answer.error(), now);
    return dead;
  }
  // Under an earlier lead: another leader may have been there since, and sent the row.
  const bool outdated = epoch_ != decide_epoch_;
  refs done, locked;
  if (answer.has_value()) done.insert(answer->changed.begin(), answer->changed.end());
  if (answer.has_value() && !outdated) locked.insert(answer->locked.begin(), answer->locked.end());
  for (row* r : rows) {
    if (is_locked(locked, r->msg.ref)) {
      locked_decisions_.push_back(r);
    } else {
      decision_made(*r, done.contains(r->msg.ref), outdated, now, dead);
    }
  }
  if (!outdated) enlisted(false, locked, now);
  if (!locked.empty() && !locked_until_) locked_until_ = now + ask_locked_after;
  // The holds may have been read before this decision took effect.
  if (leading() && outdated) start_over(now);
  if (answer.has_value()) store_worked();
  return dead;
}

void core::decision_made(row& r, bool done, bool outdated, time_point now,
                         std::vector<died>& dead) {
  const bool is_dead = done && r.decision->what == outbox::fate::dead;
  const bool is_deferred = done && !is_dead;
  const bool blocks = is_dead && opts_.block_on_dead && r.msg.ordering_key && !outdated;
  if (is_dead) dead.push_back({r.msg.ref, r.why, r.decision->last_error});
  if (is_deferred)
    due_at_ = std::min(due_at_.value_or(time_point::max()), now + r.decision->retry_in);
  if (blocks) {
    ++dead_holds_;
    look_at_holds(now + dead_holds_interval);
  }
  if (r.msg.ordering_key && !r.unordered) {
    // A decision that changed nothing was overtaken by somebody else's: the row is read again and
    // obeyed.
    const bool holds = blocks || (is_deferred && !outdated);
    apply(holds ? keys_.defer(r) : is_dead ? keys_.finish(r) : keys_.forget(r));
  } else if (blocks) {
    apply(keys_.hold(*r.msg.ordering_key, r.msg.ref));
  }
  if (done) {
    written(r);
  } else {
    rows_.remove(r);
  }
}

void core::poll_write(time_point now, std::vector<action>& todo) {
  if (!settling_.empty() || decide_out_ || store_retry_at_) return;
  const bool some_to_decide = !undecided_.empty() || enlisting_.size() > locked_enlisting_;
  const bool settle = may_settle(now);
  const bool decide = some_to_decide && leading() && (!settle || decide_next_);
  if (decide) {
    decide_out_ = true;
    decide_epoch_ = *epoch_;
    const auto end = undecided_.begin() +
                     static_cast<std::ptrdiff_t>(std::min(undecided_.size(), decisions_at_once));
    deciding_.assign(undecided_.begin(), end);
    undecided_.erase(undecided_.begin(), end);
    do_decide d{.epoch = *epoch_, .decisions = {}};
    for (const row* r : deciding_) d.decisions.push_back(*r->decision);
    for (auto& [ref, waiting] : enlisting_) {
      if (d.decisions.size() >= decisions_at_once) break;
      if (waiting.locked) continue;
      waiting.asked = true;
      d.decisions.push_back({ref, waiting.attempts, outbox::fate::pending, {}, {}});
    }
    todo.emplace_back(std::move(d));
  } else if (settle) {
    const auto end =
        acked_.begin() + static_cast<std::ptrdiff_t>(std::min(acked_.size(), marks_at_once));
    settling_.assign(acked_.begin(), end);
    acked_.erase(acked_.begin(), end);
    do_settle s;
    s.rows.reserve(settling_.size());
    for (const row* r : settling_) s.rows.push_back(r->msg.ref);
    // Every writer locks rows in the same order.
    std::ranges::sort(s.rows, {}, &outbox::row_ref::id);
    todo.emplace_back(std::move(s));
  }
  decide_next_ = !decide;
}

// ---- rows that have failed

void core::ask_for_holds(time_point now) {
  holds_wanted_ = true;
  holds_asked_at_ = now;
  holds_are_stale_ = holds_out_;
  holds_after_ = 0;
  holds_at_.reset();
  listed_.clear();
  written_since_holds_asked_.clear();
  dead_listed_ = 0;
  overflow_next_.clear(++overflow_salt_);
}

void core::poll_failed(std::vector<action>& todo) {
  if (!leading() || draining_ || store_retry_at_ || !holds_wanted_ || holds_out_) return;
  holds_out_ = true;
  todo.emplace_back(do_load_failed{holds_after_, opts_.block_on_dead, failed_rows_per_page});
}

void core::failed_loaded(const base::result<std::vector<outbox::failed_row>>& failed,
                         time_point now) {
  holds_out_ = false;
  const bool stale = std::exchange(holds_are_stale_, false);
  if (failed.has_error()) {
    ask_for_holds(now);  // what was written meanwhile is not remembered for ever
    return store_failed(failed.error(), now);
  }
  store_worked();
  if (stale || !leading()) return;
  learn_holds(*failed, now);
  if (failed->size() >= failed_rows_per_page) {
    holds_after_ = failed->back().ref.id;
    return;
  }
  holds_wanted_ = false;
  if (listed_.size() < failed_rows_remembered) let_go_of_others();
  std::swap(overflow_, overflow_next_);
  dead_holds_ = dead_listed_;
  // Where they are so many that reading them takes long, they are read more rarely.
  holds_not_before_ = now + 9 * (now - holds_asked_at_);
  if (dead_holds_ > 0 || !overflow_.empty()) look_at_holds(now + dead_holds_interval);
  if (std::exchange(holds_known_, true)) return;
  read_at_ = now;
  if (!holds_at_) holds_at_ = now + last_words;
}

void core::look_at_holds(time_point at) {
  holds_at_ = std::max(holds_not_before_, std::min(holds_at_.value_or(at), at));
}

void core::learn_holds(const std::vector<outbox::failed_row>& page, time_point now) {
  for (const outbox::failed_row& f : page) {
    const row* r = rows_.find(f.ref);
    const bool outdated = (r != nullptr && r->state == row_state::acked) ||
                          written_since_holds_asked_.contains(f.ref);
    if (outdated) continue;
    if (f.dead) ++dead_listed_;
    if (!f.dead && !holds_known_)
      destinations_.failed_before(f, "rows of it have failed before", now);
    if (!f.ordering_key) continue;
    if (listed_.size() < failed_rows_remembered) {
      listed_.insert(f.ref);
      apply(keys_.hold(*f.ordering_key, f.ref));
    } else {
      overflow_next_.insert(*f.ordering_key);
    }
  }
}

// A row that failed and is no longer among those that have: somebody else has settled it.
void core::let_go_of_others() {
  keys_.release_if([&](const outbox::row_ref& ref) {
    return ref != pause_mark && !listed_.contains(ref) && rows_.find(ref) == nullptr &&
           !written_since_holds_asked_.contains(ref) && !enlisting_.contains(ref);
  });
}

}  // namespace outboxd::relay
