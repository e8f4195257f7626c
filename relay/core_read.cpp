// The reading half of the core: what to ask the table for, and which of the rows that come may
// stay.
#include <algorithm>
#include <utility>

#include "relay/core.hpp"

namespace outboxd::relay {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t keys_per_walk = 1'000;
constexpr std::size_t visited_per_walk = 20'000;
constexpr std::size_t due_rows = 256;
constexpr std::size_t enlisting_at_most = 5'000;
constexpr std::size_t inline_row_bytes = 64u << 10;
constexpr std::int64_t widest_span = outbox::last_id / 8;
constexpr auto sweep_interval = 5min;
constexpr auto shortest_round_pause = 1'000ms;
constexpr auto longest_round_pause = 60'000ms;

}  // namespace

std::size_t core::free_rows() const {
  return capacity_ - std::min(capacity_, rows_.size());
}

// Everything is read again, first what has failed: what is in memory is recognised, what is not is
// taken or skipped anew.
void core::start_over(time_point now) {
  reader_.restart();
  keys_.restart();
  skipped_.restart();
  holds_known_ = false;
  ask_for_holds(now);
  loading_.clear();  // what that answer leaves out may be there again
  read_is_stale_ = read_out_.has_value();
  read_all_ = false;
  read_at_ = now;
  sweep_at_ = now + sweep_interval;
}

// As insurance, while everything goes on: a look at all that waits.
void core::sweep(time_point now) {
  sweep_at_ = now + sweep_interval;
  skipped_.look_everywhere();
  ask_for_holds(now);
}

void core::notified(time_point now) {
  read_at_ = now;
  may_be_paused_ = true;
  if (dead_holds_ > 0) look_at_holds(now);  // an operator may have decided
}

void core::wake_lock_answered(const base::result<bool>& got, time_point now) {
  heed(wake_.lock_answered(got.has_value() && *got), now);
}

void core::heed(const outbox::wake::advice& a, time_point now) {
  if (a.try_lock) wake_lock_todo_ = true;
  if (a.release_lock) wake_lock_todo_ = false;
  if (a.read_after) read_at_ = now + *a.read_after;
  if (a.try_lock && !a.read_after)
    read_at_ = now + opts_.poll_interval;  // should the answer not come
}

// ---- which rows may stay

void core::skip(const outbox::message& m) {
  if (m.deferred) return enlist(m);
  skipped_.skip(m.ref.id, m.ordering_key, read_out_.has_value());
  if (m.ordering_key) put_back(keys_.send_back_behind(*m.ordering_key, m.ref.id));
}

// Why it was skipped is not known to end with a hold: a look now and then.
void core::look_again_later(time_point now) {
  if (round_at_) return;
  round_pause_ = std::clamp(2 * round_pause_, std::chrono::milliseconds(shortest_round_pause),
                            std::chrono::milliseconds(longest_round_pause));
  round_at_ = now + round_pause_;
}

// Skipped for the sake of another row of its key.
void core::skip_behind(const outbox::message& m, time_point now) {
  if (hold* h = destinations_.hold_of(m); h != nullptr) {
    destinations::seen(*h);
  } else {
    look_again_later(now);
  }
  skip(m);
}

// A row that waits for its destination, and would not be of use as a probe.
bool core::waits_in_table(const outbox::message& m) {
  hold* h = destinations_.hold_of(m);
  if (h == nullptr) return false;
  if (m.ordering_key && keys_.in_memory(*m.ordering_key)) return false;  // it lines up there
  destinations::seen(*h);
  return !destinations_.may_wait(*h, m);
}

bool core::key_is_closed(const outbox::message& m) const {
  if (!m.ordering_key) return false;
  const std::string& key = *m.ordering_key;
  const bool waits = destinations_.held() > 0 && keys_.waits(key);
  return waits || overflow_.may_contain(key) || skipped_.closes(m.ref.id, key);
}

core::place core::take_or_skip(outbox::message& m, time_point now) {
  if (key_is_closed(m)) {
    skip_behind(m, now);
    return place::skipped;
  }
  key_order::change c;
  if (m.ordering_key && !keys_.admit(m, free_rows(), c)) {
    apply(c);
    return place::skipped;
  }
  if (waits_in_table(m)) {
    skip(m);
    return place::skipped;
  }
  if (free_rows() == 0) return place::no_room;
  take(std::move(m), now);
  return place::taken;
}

// Frontier and gaps. Answers with the number of rows dealt with; the others count as not read.
std::size_t core::take_open(const outbox::read_request& request, outbox::read_answer& answer,
                            time_point now, bool& found) {
  // Due rows that are still to come may be earlier ones of their keys.
  const bool some_due_unseen = answer.due.size() >= request.due_limit;
  std::size_t taken = 0, stayed = 0;
  for (outbox::message& m : answer.rows) {
    if (!rows_.knows(m.ref) && !enlisting_.contains(m.ref)) {
      if (some_due_unseen && m.ordering_key) break;
      const std::int64_t id = m.ref.id;
      const place p = take_or_skip(m, now);
      if (p == place::no_room) break;
      if (p == place::taken) ++stayed;
      found |= p == place::taken || id > request.frontier;
    }
    ++taken;
  }
  mostly_skipped_ = answer.rows.size() >= opts_.batch_size && stayed < answer.rows.size() / 2;
  return taken;
}

// Rows that fell due, with ids up to read_to: what is before them has been read. Those that cannot
// go now become pending, and take their place among the others.
bool core::take_due(std::vector<outbox::message>& due, std::int64_t read_to, bool last_chance,
                    time_point now) {
  bool found = false;
  for (outbox::message& m : due) {
    if (rows_.knows(m.ref) || enlisting_.contains(m.ref)) continue;
    if (free_rows() == 0) break;
    const bool early = m.ordering_key && m.ref.id > read_to;
    if (early && !last_chance) continue;
    const bool closed = early || key_is_closed(m) ||
                        (m.ordering_key && !keys_.admit_due(m, free_rows())) || waits_in_table(m);
    if (closed) {
      enlist(m);
    } else {
      take(std::move(m), now);
      found = true;
    }
  }
  return found;
}

// Keys that are free again.
bool core::take_asked(const outbox::read_request& request, outbox::read_answer& answer,
                      time_point now) {
  bool found = false;
  for (outbox::message& m : answer.below) {
    if (rows_.knows(m.ref) || enlisting_.contains(m.ref)) continue;
    if (key_is_closed(m) || waits_in_table(m)) {
      keys_.skipped_elsewhere(*m.ordering_key);
      skip_behind(m, now);
      continue;
    }
    key_order::change c;
    if (keys_.admit_skipped(m, free_rows(), c)) {
      walked_.push_back(m.ref);
      take(std::move(m), now);
      found = true;
    } else {
      apply(c);
    }
  }
  keys_.answered(*request.below, answer.below_to, answer.below_to >= request.frontier);
  return found;
}

// A piece of a round over what was skipped.
bool core::take_round(const outbox::read_request& request, outbox::read_answer& answer,
                      time_point now) {
  bool found = false, complete = true;
  std::int64_t to = request.below->after;
  for (outbox::message& m : answer.below) {
    if (free_rows() == 0) {
      complete = false;
      break;
    }
    to = m.ref.id;
    skipped_.look_at(to);
    if (rows_.knows(m.ref) || enlisting_.contains(m.ref)) continue;
    const outbox::row_ref ref = m.ref;
    const bool has_key = m.ordering_key.has_value();
    if (take_or_skip(m, now) != place::taken) continue;
    if (has_key) walked_.push_back(ref);
    found = true;
  }
  if (complete) to = answer.below_to;
  skipped_.looked_at(to, !request.below->without.empty(), request.below->after);
  if (complete && to >= request.frontier) {
    skipped_.end_round();
    if (destinations_.round_ended(now)) skipped_.look_again();
  }
  return found;
}

// A walk goes past rows in gaps that have not been read, because they are many, or because there
// was no room. One of them may be an earlier one of the key: what the walk found behind them waits
// for the next.
void core::put_back_walked(std::int64_t read_to) {
  for (const outbox::row_ref& ref : std::exchange(walked_, {})) {
    row* r = ref.id > read_to ? rows_.find(ref) : nullptr;
    if (r == nullptr || r->state == row_state::deciding) continue;
    key_order::change c = keys_.forget(*r);
    drop(*r);
    apply(c);
  }
}

// Scheduled further away than allowed.
void core::take_too_late(std::vector<outbox::message>& late, time_point now) {
  for (outbox::message& m : late) {
    if (rows_.knows(m.ref) || enlisting_.contains(m.ref)) continue;
    if (free_rows() == 0) return;
    row& r = rows_.add(std::move(m), now);
    r.unordered = true;
    failed(r, verdict::delay_too_long, outbox::fate::dead,
           "delay_too_long: not_before is further away than OUTBOX_MAX_DELAY allows");
  }
}

// Between the ids there may be more entries of rows that were sent than one statement gets past, as
// long as an old snapshot keeps them.
void core::look_at_fewer_ids(time_point now) {
  cancelled_after_ = now - read_sent_at_;
  span_ = std::max({span_ / 2, opts_.read_span / 1'024, std::int64_t{1}});
  reader_.be_careful();
}

// Where that was what ended the read, and it took little of the time that there is.
void core::look_at_more_ids(const outbox::read_request& request, const outbox::read_answer& answer,
                            time_point now) {
  const bool bounded = answer.up_to || (request.below && answer.below_to == request.below->to);
  if (bounded && 4 * (now - read_sent_at_) < cancelled_after_)
    span_ = std::min(2 * span_, widest_span);
}

void core::read_answered(base::result<outbox::read_answer> answer, time_point now) {
  const outbox::read_request request = std::move(*read_out_);
  read_out_.reset();
  const bool stale = std::exchange(read_is_stale_, false);
  // Another leader has been there: it may have deferred rows that this answer does not show, and
  // what is behind them is not ours to publish. We shall hear of it.
  const bool replaced = answer.has_value() && leading() && answer->epoch != *epoch_;
  const bool too_early = !pauses_seen_at_;
  if (answer.has_error() || stale || replaced || too_early || !leading() || draining_) {
    if (request.below && !walk_is_round_) keys_.answered(*request.below, 0, false);
    rows_.read_answered();
    if (answer.has_error() && answer.error().kind == base::failure_kind::cancelled)
      look_at_fewer_ids(now);
    if (answer.has_error()) store_failed(answer.error(), now);
    if (replaced) store_retry_at_ = now + 100ms;  // nothing to do until we hear of it
    read_at_ = now;
    return;
  }
  store_worked();
  look_at_more_ids(request, *answer, now);

  // Rows that fell due go first: they have waited longest.
  const auto read_to = std::min(request.frontier, outbox::reader::covered_by(request, *answer, 0));
  bool found = take_due(answer->due, read_to, false, now);
  if (request.below)
    found |= walk_is_round_ ? take_round(request, *answer, now) : take_asked(request, *answer, now);
  const std::size_t taken = take_open(request, *answer, now, found);
  const auto now_read_to = outbox::reader::covered_by(request, *answer, taken);
  put_back_walked(now_read_to);
  found |= take_due(answer->due, now_read_to, true, now);
  take_too_late(answer->too_late, now);
  reader_.answered(request, *answer, taken);
  rows_.read_answered();

  const bool full = request.limit > 0 && answer->rows.size() >= request.limit;
  const bool more = full || answer->up_to || taken < answer->rows.size() ||
                    answer->due.size() >= request.due_limit;
  read_all_ = !found && !more && keys_.closed() == 0 && skipped_.empty() && enlisting_.empty();
  if (due_at_ && *due_at_ <= now) due_at_.reset();
  if (answer->next_due_in)
    due_at_ = std::min(due_at_.value_or(time_point::max()), now + *answer->next_due_in);
  const auto asked_meanwhile = std::exchange(read_at_, std::nullopt);
  const std::size_t came = answer->rows.size() + answer->due.size() + answer->below.size();
  heed(wake_.read_done(found ? came : 0, more), now);
  // The gaps that are left are too wide while somebody may fill them.
  if (!found && answer->up_to && *answer->up_to <= request.frontier) read_at_ = now + 100ms;
  // Whoever asked for a read after this one was sent knows of something it may not have seen.
  if (asked_meanwhile) read_at_ = std::min(read_at_.value_or(time_point::max()), *asked_meanwhile);
}

// ---- what to do

bool core::reads_when_due() const {
  const bool room = rows_.size() == 0 || free_rows() >= capacity_ / 4;
  return leading() && holds_known_ && !draining_ && !read_out_ && room && !pauses_.everything();
}

bool core::wants_round(time_point now) const {
  const auto& hungry = destinations_.hungry_at();
  return skipped_.wanted() || (hungry && *hungry <= now && !skipped_.empty());
}

bool core::wants_read(time_point now) const {
  if (!reads_when_due() || store_retry_at_) return false;
  const auto due = [now](const std::optional<time_point>& t) { return t && *t <= now; };
  return due(read_at_) || due(due_at_) || keys_.has_ripe() || wants_round(now);
}

// One walk over skipped rows with each read: for keys that are free again, or a piece of a round;
// by turns.
std::optional<outbox::scan> core::what_to_walk(time_point now) {
  const bool round = wants_round(now) && !(keys_.has_ripe() && walk_is_round_);
  walk_is_round_ = round;
  if (!round) {
    auto walk = keys_.ask(keys_per_walk);
    if (walk) {
      // More could not come in, and would be read again.
      walk->rows = std::min(opts_.batch_size, walk->keys.size() * keys_.share(free_rows()));
      walk->visited = visited_per_walk;
    }
    return walk;
  }
  if (!skipped_.in_round()) destinations_.round_begins();
  outbox::scan walk;
  walk.after = skipped_.next_piece();
  walk.rows = opts_.batch_size;
  walk.visited = visited_per_walk;
  walk.without = destinations_.sated(now);
  return walk;
}

void core::poll_read(time_point now, std::vector<action>& todo) {
  if (wake_lock_todo_ && leading()) {
    if (*wake_lock_todo_) {
      todo.emplace_back(do_try_wake_lock{});
    } else {
      todo.emplace_back(do_release_wake_lock{});
    }
  }
  wake_lock_todo_.reset();

  const bool may_ask = leading() && !draining_ && !store_retry_at_;
  if (may_ask && sweep_at_ && *sweep_at_ <= now && holds_known_) sweep(now);
  if (may_ask && holds_at_ && *holds_at_ <= now && !holds_wanted_) ask_for_holds(now);
  if (round_at_ && *round_at_ <= now) {
    round_at_.reset();
    skipped_.look_again();
  }
  poll_failed(todo);
  if (!wants_read(now)) return;

  outbox::read_request request;
  request.limit = mostly_skipped_ ? 4 * opts_.batch_size : std::min(opts_.batch_size, free_rows());
  reader_.ask(request, rows_.size(), span_);
  request.below = what_to_walk(now);
  if (request.below && request.below->after < outbox::last_id - span_)
    request.below->to = request.below->after + span_;
  const bool enough_due = enlisting_.size() >= enlisting_at_most;
  request.due_limit = enough_due ? 0 : due_rows + rows_.deferred() + enlisting_.size();
  request.max_delay = opts_.max_delay;
  // Of rows that will be skipped, most bodies would come in vain; not of those that keys ask for.
  const bool for_keys = request.below && !walk_is_round_;
  if (!mostly_skipped_ || for_keys) {
    request.inline_row_bytes = inline_row_bytes;
    request.inline_total_bytes = room_for_bodies();
  }
  read_at_.reset();
  rows_.read_sent();
  read_sent_at_ = now;
  read_out_ = request;
  todo.emplace_back(do_read{std::move(request)});
}

}  // namespace outboxd::relay
