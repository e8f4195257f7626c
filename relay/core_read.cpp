// The reading half of the core: what to ask the table for, and which of the rows that come may
// stay.
#include "relay/core.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace outboxd::relay {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t failed_rows_at_start = 200'000;  // more cannot be remembered one by one
constexpr std::size_t closed_keys_at_most =
    65'536;  // beyond that nothing new is read until some are free
// Each walks the pending rows from its first one to the frontier: few at a time, or one statement
// takes too long.
constexpr std::size_t keys_per_read = 8;
constexpr std::size_t due_rows_min = 256;
constexpr std::size_t due_rows_max = 16'384;
constexpr std::size_t inline_row_bytes = 64u << 10;
constexpr std::size_t inline_total_bytes = 8u << 20;
constexpr auto sweep_interval = 5min;

}  // namespace

std::size_t core::free_rows() const {
  return capacity_ - std::min(capacity_, rows_.size());
}

// Everything is read again, first what has failed: what is in memory is recognised, what is not is
// taken or skipped anew.
void core::start_over(time_point now) {
  reader_.restart();
  keys_.restart();
  holds_known_ = false;
  holds_are_stale_ = holds_out_;
  loading_.clear();  // what that answer leaves out may be there again
  read_is_stale_ = read_out_.has_value();
  read_all_ = false;
  read_at_ = now;
  sweep_at_ = now + sweep_interval;
}

void core::notified(time_point now) {
  read_at_ = now;
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

void core::failed_loaded(const base::result<std::vector<outbox::failed_row>>& failed,
                         time_point now) {
  holds_out_ = false;
  const bool stale = std::exchange(holds_are_stale_, false);
  if (failed.has_error()) return store_failed(failed.error(), now);
  store_worked();
  if (stale || !leading()) return;
  if (failed->size() < failed_rows_at_start) let_go_of_others(*failed);
  for (const outbox::failed_row& f : *failed) {
    const row* r = rows_.find(f.ref);
    const bool outdated = (r != nullptr && r->state == row_state::acked) ||
                          written_since_holds_asked_.contains(f.ref);
    if (f.ordering_key && !outdated) keys_.hold(*f.ordering_key, f.ref);
  }
  holds_known_ = true;
  read_at_ = now;
}

// A row that failed and is no longer among those that have: somebody else has settled it.
void core::let_go_of_others(const std::vector<outbox::failed_row>& failed) {
  std::unordered_set<outbox::row_ref, outbox::row_ref_hash> listed;
  for (const outbox::failed_row& f : failed) listed.insert(f.ref);
  keys_.release_if([&](const outbox::row_ref& ref) {
    return !listed.contains(ref) && rows_.find(ref) == nullptr &&
           !written_since_holds_asked_.contains(ref);
  });
}

void core::read_answered(base::result<outbox::read_answer> answer, time_point now) {
  const outbox::read_request request = std::move(*read_out_);
  read_out_.reset();
  const bool stale = std::exchange(read_is_stale_, false);
  if (answer.has_error() || stale || !leading() || draining_) {
    for (const outbox::key_read& k : request.keys) keys_.answered(k, k.first);
    rows_.read_answered();
    if (answer.has_error()) store_failed(answer.error(), now);
    read_at_ = now;
    return;
  }
  store_worked();

  // Rows that come back from a failure go first: the rest of their key is behind them.
  constexpr auto everything = std::numeric_limits<std::int64_t>::max();
  bool found_due = take_due(answer->due, true, everything, now);
  bool found = take_skipped(request, answer->skipped, now);
  const std::size_t taken = take_open(answer->rows, now, found);
  // Those that were scheduled take their place behind what has been read before them.
  found_due |=
      take_due(answer->due, false, outbox::reader::covered_by(request, *answer, taken), now);
  found |= found_due;
  // Due rows whose key is closed stay due: they must not hide the others for ever.
  const bool clogged = !found_due && answer->due.size() >= due_limit_;
  due_limit_ = clogged ? std::min(due_limit_ * 2, due_rows_max) : due_rows_min;
  reader_.answered(request, *answer, taken);
  rows_.read_answered();

  const bool full = request.limit > 0 && answer->rows.size() >= request.limit;
  const bool more = full || taken < answer->rows.size();
  read_all_ = !found && !more && keys_.closed() == 0;
  if (due_at_ && *due_at_ <= now) due_at_.reset();
  if (answer->next_due_in)
    due_at_ = std::min(due_at_.value_or(time_point::max()), now + *answer->next_due_in);
  const auto asked_meanwhile = std::exchange(read_at_, std::nullopt);
  heed(wake_.read_done(found, more), now);
  // Whoever asked for a read after this one was sent knows of something it may not have seen.
  if (asked_meanwhile) read_at_ = std::min(read_at_.value_or(time_point::max()), *asked_meanwhile);
}

// Those that have failed, or those that were only scheduled. A row of a key goes behind the earlier
// ones, so those must have been read: everything up to `read_to` has.
bool core::take_due(std::vector<outbox::message>& due, bool has_failed, std::int64_t read_to,
                    time_point now) {
  bool found = false;
  for (outbox::message& m : due) {
    if ((m.attempts > 0) != has_failed || rows_.knows(m.ref) || free_rows() == 0) continue;
    if (m.ordering_key && (m.ref.id > read_to || !keys_.admit_due(m, free_rows()))) continue;
    take(std::move(m), now);
    found = true;
  }
  return found;
}

bool core::take_skipped(const outbox::read_request& request, std::vector<outbox::message>& rows,
                        time_point now) {
  bool found = false;
  auto m = rows.begin();
  for (const outbox::key_read& asked : request.keys) {
    std::size_t count = 0;
    std::optional<std::int64_t> next;
    std::int64_t last = 0;
    for (; m != rows.end() && m->ordering_key == asked.key; ++m, ++count) {
      last = m->ref.id;
      if (next || rows_.knows(m->ref)) continue;
      if (free_rows() == 0 || !keys_.admit_skipped(*m, free_rows())) {
        next = last;
        continue;
      }
      take(std::move(*m), now);
      found = true;
    }
    if (!next && count > 0 && count >= asked.limit) next = last + 1;
    keys_.answered(asked, next);
  }
  return found;
}

// Answers with the number of rows dealt with; the others count as not read.
std::size_t core::take_open(std::vector<outbox::message>& rows, time_point now, bool& found) {
  std::size_t taken = 0;
  for (outbox::message& m : rows) {
    if (!rows_.knows(m.ref)) {
      if (free_rows() == 0) break;
      found = true;
      if (!m.ordering_key || keys_.admit(m, free_rows())) take(std::move(m), now);
    }
    ++taken;
  }
  return taken;
}

void core::take(outbox::message&& m, time_point now) {
  row& r = rows_.add(std::move(m), now);
  if (r.msg.ordering_key) {
    apply(keys_.add(r));
    // Bodies of rows that wait behind others must not use up what the others need.
    if (r.state == row_state::queued && rows_.bytes() > opts_.max_in_flight_bytes / 2)
      rows_.drop_body(r);
  } else {
    activate(r);
  }
}

void core::bodies_loaded(base::result<std::vector<outbox::loaded_body>> bodies, time_point now) {
  load_out_ = false;
  std::vector<outbox::row_ref> asked = std::exchange(loading_, {});
  if (bodies.has_error()) return store_failed(bodies.error(), now);
  store_worked();
  for (outbox::loaded_body& b : *bodies) {
    row* r = rows_.find(b.ref);
    if (r == nullptr || r->msg.body_loaded || r->state == row_state::deciding) continue;
    rows_.put_body(*r, std::move(b));
    if (r->state != row_state::bodiless) continue;  // a lower id of its key came between
    bodiless_.erase(r);
    window_.add(*r);
  }
  for (const outbox::row_ref& ref : asked) {
    row* r = rows_.find(ref);
    if (r == nullptr || r->state != row_state::bodiless) continue;
    // It is gone from the table: somebody discarded it.
    if (r->msg.ordering_key) apply(keys_.finish(*r));
    drop(*r);
  }
}

// ---- what to do ----

bool core::reads_when_due() const {
  const bool room = rows_.size() == 0 || (free_rows() >= capacity_ / 4 &&
                                          rows_.header_bytes() < opts_.max_in_flight_bytes / 2);
  return leading() && holds_known_ && !draining_ && !read_out_ && room;
}

bool core::wants_read(time_point now) const {
  if (!reads_when_due() || store_retry_at_) return false;
  const auto due = [now](const std::optional<time_point>& t) { return t && *t <= now; };
  return due(read_at_) || due(due_at_) || due(sweep_at_) || keys_.has_ripe();
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
  if (may_ask && !read_out_ && sweep_at_ && *sweep_at_ <= now) start_over(now);
  if (may_ask && !holds_known_ && !holds_out_) {
    holds_out_ = true;
    written_since_holds_asked_.clear();
    todo.emplace_back(do_load_failed{failed_rows_at_start});
  }
  if (!wants_read(now)) return;

  outbox::read_request request;
  request.limit =
      keys_.closed() < closed_keys_at_most ? std::min(opts_.batch_size, free_rows()) : 0;
  reader_.ask(request, rows_.size());
  request.keys = keys_.ask(keys_per_read, free_rows());
  request.due_limit = due_limit_;
  if (bodiless_.empty()) {  // else bodies that wait come first
    request.inline_row_bytes = inline_row_bytes;
    request.inline_total_bytes =
        std::min(inline_total_bytes,
                 opts_.max_in_flight_bytes - std::min(opts_.max_in_flight_bytes, rows_.bytes()));
  }
  read_at_.reset();
  rows_.read_sent();
  read_out_ = request;
  todo.emplace_back(do_read{std::move(request)});
}

// Bodies that did not come with their rows: lowest id first, as many as fit. One may always be
// held, or a body larger than the budget would wait for ever.
void core::poll_bodies(std::vector<action>& todo) {
  if (bodiless_.empty() || load_out_ || !leading() || draining_) return;
  if (store_retry_at_) return;
  std::size_t bytes = rows_.bytes();
  std::size_t loaded = 0;
  for (const row* r : bodiless_) {
    const auto size = r->msg.body_size + r->msg.headers_size;
    const bool fits = bytes + size <= opts_.max_in_flight_bytes && loaded < inline_total_bytes;
    if (!fits && !(loading_.empty() && window_.empty())) break;
    loading_.push_back(r->msg.ref);
    bytes += size;
    loaded += size;
  }
  if (loading_.empty()) return;
  load_out_ = true;
  todo.emplace_back(do_load_bodies{loading_});
}

bool core::caught_up() const {
  return read_all_ && bodiless_.empty();
}

}  // namespace outboxd::relay
