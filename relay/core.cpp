#include "relay/core.hpp"

#include <algorithm>
#include <utility>

namespace outboxd::relay {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t bodies_at_once = 8u << 20;
constexpr auto quarantine_patience = 10s;  // then its rows use the other lanes
constexpr auto quarantine_idle = 60s;      // then it is closed

std::vector<outbox::id_range> joined(std::vector<outbox::id_range> ranges) {
  std::ranges::sort(ranges, {}, &outbox::id_range::first);
  std::vector<outbox::id_range> out;
  for (const outbox::id_range& r : ranges) {
    if (!out.empty() && r.first - 1 <= out.back().last) {
      out.back().last = std::max(out.back().last, r.last);
    } else {
      out.push_back(r);
    }
  }
  return out;
}

}  // namespace

core::core(options opts, std::size_t lanes, std::function<double()> random,
           std::size_t least_capacity)
    : opts_(opts),
      capacity_(std::max<std::size_t>(least_capacity, 2 * opts.max_in_flight + opts.batch_size)),
      random_(std::move(random)),
      keys_(opts.pipelined),
      destinations_(opts.max_in_flight, {opts.retry_min, opts.retry_max}, capacity_ / 4, random_),
      window_(lanes, opts.max_in_flight, opts.pipelined),
      wake_(opts.notify, opts.poll_interval),
      span_(opts.read_span),
      renewals_(lanes + 1) {}

// ---- the lead

void core::lead_gained(std::int64_t epoch, time_point now) {
  epoch_ = epoch;
  keys_.reset();  // what was told after the last lead was lost
  destinations_.reset();
  forget_pauses();
  due_at_.reset();
  start_over(now);
}

void core::lead_lost() {
  epoch_.reset();
  wake_.reset();
  wake_lock_todo_.reset();
  read_all_ = false;
  ask_locked_again();
  for (row* r : undecided_) {  // another leader will decide
    locked_.erase(r->msg.ref);
    if (r->msg.ordering_key && !r->unordered) keys_.finish(*r);
    r->state = row_state::queued;
  }
  undecided_.clear();
  for (const auto& [ref, waiting] : enlisting_) locked_.erase(ref);
  enlisting_.clear();
  drop_unpublished();
  destinations_.reset();
  forget_pauses();
}

void core::drain() {
  draining_ = true;
  drop_unpublished();
}

bool core::drained() const {
  return draining_ && window_.in_flight() == 0 && acked_.empty() && settling_.empty() &&
         undecided_.empty() && !decide_out_ && !locked_until_;
}

void core::drop_unpublished() {
  keys_.reset();
  std::vector<row*> unpublished;
  for (const auto& [ref, r] : rows_.all()) {
    switch (r->state) {
      case row_state::queued:
      case row_state::bodiless:
      case row_state::held:
      case row_state::ready:
        unpublished.push_back(r.get());
        break;
      case row_state::in_flight:
      case row_state::acked:
      case row_state::deciding:
        break;
    }
  }
  for (row* r : unpublished) drop(*r);
}

// ---- a row's way

void core::take(outbox::message&& m, time_point now) {
  row& r = rows_.add(std::move(m), now);
  destinations_.enter(r);
  if (!r.msg.ordering_key) return activate(r);
  const outbox::row_ref ref = r.msg.ref;
  apply(keys_.add(r));
  // Bodies of rows that wait behind others must not use up what the others need.
  if (rows_.bytes() <= opts_.max_in_flight_bytes / 2) return;
  row* still = rows_.find(ref);
  if (still != nullptr && still->state == row_state::queued) rows_.drop_body(*still);
}

void core::apply(const key_order::change& c) {
  if (c.down != nullptr) deactivate(*c.down);
  for (row* r : c.evicted) drop(*r);
  if (c.up != nullptr) activate(*c.up);
}

// The row is next of its key, or has none.
void core::activate(row& r) {
  if (r.msg.body_size > opts_.max_message_size) {
    failed(r, verdict::too_large, outbox::fate::dead,
           "too_large: " + std::to_string(r.msg.body_size) +
               " bytes are more than OUTBOX_MAX_MESSAGE_SIZE allows (" +
               std::to_string(opts_.max_message_size) + ")");
  } else if (r.where->current() != nullptr && !r.probe) {
    // A probe takes a way of its own: not while others of its key are on theirs.
    const bool behind_others = r.msg.ordering_key && keys_.in_flight(*r.msg.ordering_key);
    if (behind_others || !destinations_.wait(r)) return send_back(r);
    rows_.drop_body(r);  // it may wait for long, and so do those behind it
    if (r.msg.ordering_key) put_back(keys_.send_back_behind(*r.msg.ordering_key, r.msg.ref.id));
  } else if (r.msg.body_loaded) {
    window_.add(r);
  } else {
    r.state = row_state::bodiless;
    bodiless_.insert(bodiless_.end(), r);
  }
}

void core::deactivate(row& r) {
  if (r.state == row_state::ready) window_.remove(r);
  if (r.state == row_state::bodiless) bodiless_.erase(bodiless_.iterator_to(r));
  if (r.state == row_state::held || r.probe) destinations_.forget(r);
  r.state = row_state::queued;
}

// Out of memory, without a word to its key.
void core::drop(row& r) {
  deactivate(r);
  destinations_.leave(r);
  rows_.remove(r);
}

// To the table, which still has it as it was, until its destination or its key is free; and what
// waits behind it.
void core::send_back(row& r) {
  key_order::change c;
  if (r.msg.ordering_key) c = keys_.send_back(r);
  skip(r.msg);
  drop(r);
  put_back(std::move(c));
}

// Those that leave memory are not remembered by their key.
void core::put_back(key_order::change c) {
  for (row* behind : std::exchange(c.evicted, {})) {
    skip(behind->msg);
    drop(*behind);
  }
  apply(c);
}

// Destinations that have just been held: what could go there waits as a probe, or goes back.
void core::empty_held_destinations() {
  std::vector<row*> waiting;
  for (const auto& [ref, r] : rows_.all()) {
    const bool could_go = r->state == row_state::ready || r->state == row_state::bodiless;
    if (could_go && !r->probe && r->where->current() != nullptr) waiting.push_back(r.get());
  }
  std::sort(waiting.begin(), waiting.end(), lower_id{});
  std::vector<outbox::row_ref> names;
  names.reserve(waiting.size());
  for (const row* r : waiting) names.push_back(r->msg.ref);
  for (const outbox::row_ref& ref : names) {
    row* r = rows_.find(ref);  // one may take others along
    if (r == nullptr || (r->state != row_state::ready && r->state != row_state::bodiless)) continue;
    deactivate(*r);
    activate(*r);
  }
}

// ---- bodies

// What may come with the rows of a read, beside the bodies that are here and those that are waited
// for: a large one must not wait for ever because small ones come first.
std::size_t core::room_for_bodies() const {
  std::size_t taken = rows_.bytes();
  std::size_t needed = 0;
  for (const row& r : bodiless_) {
    needed += r.msg.body_size + r.msg.headers_size;
    if (needed >= bodies_at_once) break;
  }
  taken = std::min(opts_.max_in_flight_bytes, taken + needed);
  return std::min(bodies_at_once, opts_.max_in_flight_bytes - taken);
}

// Bodies that did not come with their rows: lowest id first, as many as fit. One may always be
// held, or a body larger than the budget would wait for ever.
void core::poll_bodies(std::vector<action>& todo) {
  if (bodiless_.empty() || load_out_ || !leading() || draining_) return;
  if (store_retry_at_) return;
  std::size_t bytes = rows_.bytes();
  std::size_t loaded = 0;
  for (const row& r : bodiless_) {
    const std::size_t size = r.msg.body_size + r.msg.headers_size;
    const bool fits = bytes + size <= opts_.max_in_flight_bytes && loaded < bodies_at_once;
    if (!fits && !(loading_.empty() && window_.empty())) break;
    loading_.push_back(r.msg.ref);
    bytes += size;
    loaded += size;
  }
  if (loading_.empty()) return;
  load_out_ = true;
  todo.emplace_back(do_load_bodies{loading_});
}

void core::bodies_loaded(base::result<std::vector<outbox::loaded_body>> bodies, time_point now) {
  load_out_ = false;
  std::vector<outbox::row_ref> asked = std::exchange(loading_, {});
  if (bodies.has_error()) return store_failed(bodies.error(), now);
  store_worked();
  for (outbox::loaded_body& b : *bodies) {
    row* r = rows_.find(b.ref);
    if (r == nullptr || r->msg.body_loaded) continue;
    // Else a lower id of its key came between, or its destination is held: it has time.
    if (r->state != row_state::bodiless) continue;
    rows_.put_body(*r, std::move(b));
    bodiless_.erase(bodiless_.iterator_to(*r));
    window_.add(*r);
  }
  for (const outbox::row_ref& ref : asked) {
    row* r = rows_.find(ref);
    if (r == nullptr || r->state != row_state::bodiless) continue;
    // It is gone from the table: somebody discarded it.
    key_order::change c;
    if (r->msg.ordering_key) c = keys_.finish(*r);
    drop(*r);
    apply(c);
  }
}

// ---- what to do

void core::poll_holds(time_point now, std::vector<action>& todo) {
  if (leading() && !draining_ && !pauses_.everything()) {
    for (row* r : destinations_.take_probes(now)) {
      r->state = row_state::queued;
      activate(*r);
    }
  }
  for (hold_event& e : destinations_.take_events()) todo.emplace_back(do_tell{std::move(e)});
}

void core::poll_quarantine(time_point now, std::vector<action>& todo) {
  const bool needed = window_.needs_quarantine() || (leading() && destinations_.held() > 0);
  if (needed) {
    if (!std::exchange(quarantine_wanted_, true)) todo.emplace_back(do_want_quarantine{true});
    quarantine_unused_.reset();
  }
  if (!quarantine_wanted_ || window_.quarantine_open()) {
    quarantine_since_.reset();
    window_.do_without_quarantine(false);
  } else if (!quarantine_since_) {
    quarantine_since_ = now;
  } else if (now - *quarantine_since_ >= quarantine_patience) {
    window_.do_without_quarantine(window_.some_lane_open());
  }
  if (!quarantine_wanted_ || needed) return;
  if (!quarantine_unused_) quarantine_unused_ = now;
  if (leading() && now - *quarantine_unused_ < quarantine_idle) return;
  quarantine_wanted_ = false;
  quarantine_unused_.reset();
  todo.emplace_back(do_want_quarantine{false});
}

void core::poll_publish(time_point now, std::vector<action>& todo) {
  if (!leading() || draining_ || pauses_.everything()) return;
  while (row* r = window_.next()) {
    r->published_at = now;
    todo.emplace_back(do_publish{r});
    if (r->msg.ordering_key) apply(keys_.published(*r));
  }
}

void core::poll(time_point now, std::vector<action>& todo) {
  if (store_retry_at_ && *store_retry_at_ <= now) store_retry_at_.reset();
  if (locked_until_ && *locked_until_ <= now) ask_locked_again();
  poll_holds(now, todo);
  poll_renewals(now, todo);
  poll_publish(now, todo);
  poll_quarantine(now, todo);
  poll_write(now, todo);
  poll_bodies(todo);
  poll_pauses(now, todo);  // before the read that goes by the same way
  poll_read(now, todo);
}

std::optional<time_point> core::next_poll() const {
  std::optional<time_point> next;
  const auto sooner = [&](const std::optional<time_point>& t) {
    if (t && (!next || *t < *next)) next = t;
  };
  if (reads_when_due()) {
    sooner(read_at_);
    sooner(due_at_);
    sooner(sweep_at_);
    sooner(round_at_);
    if (!holds_wanted_) sooner(holds_at_);
    if (!skipped_.empty()) sooner(destinations_.hungry_at());
  }
  if (store_retry_at_) {
    const bool waiting = next || !acked_.empty() || !undecided_.empty() || !enlisting_.empty() ||
                         !bodiless_.empty() || holds_wanted_;
    if (waiting) next = next ? std::max(*next, *store_retry_at_) : *store_retry_at_;
  }
  if (!acked_.empty() && settling_.empty() && !store_retry_at_) sooner(settle_at_);
  sooner(locked_until_);
  if (leading() && !draining_ && !pauses_.everything()) sooner(destinations_.next_probe());
  sooner(next_look_at_pauses());
  sooner(renewals_.next());
  if (quarantine_since_ && window_.some_lane_open()) {
    // Once it is over, every event is an occasion to look.
    if (!window_.without_quarantine()) sooner(*quarantine_since_ + quarantine_patience);
  }
  if (quarantine_unused_) sooner(*quarantine_unused_ + quarantine_idle);
  return next;
}

// ---- questions

std::optional<std::chrono::microseconds> core::oldest_age(time_point now) const {
  std::optional<std::chrono::microseconds> oldest;
  for (const auto& [ref, r] : rows_.all()) {
    if (r->state == row_state::acked) continue;
    const auto age =
        r->msg.age + std::chrono::duration_cast<std::chrono::microseconds>(now - r->read_at);
    oldest = std::max(oldest.value_or(age), age);
  }
  return oldest;
}

std::optional<std::chrono::microseconds> core::oldest_unconfirmed_age(time_point now) const {
  std::optional<std::chrono::microseconds> oldest;
  for (const auto& [ref, r] : rows_.all()) {
    if (r->state != row_state::in_flight) continue;
    const auto age = std::chrono::duration_cast<std::chrono::microseconds>(now - r->published_at);
    oldest = std::max(oldest.value_or(age), age);
  }
  return oldest;
}

std::vector<outbox::id_range> core::may_be_pending() const {
  outbox::read_request unread;
  reader_.ask(unread, 0);
  std::vector<outbox::id_range> where = std::move(unread.gaps);
  for (const auto& [ref, r] : rows_.all()) {
    if (!r->msg.deferred) where.push_back({ref.id, ref.id});
  }
  for (const auto& [ref, waiting] : enlisting_) where.push_back({ref.id, ref.id});
  std::int64_t from = unread.frontier + 1;
  for (const auto& lowest : {skipped_.lowest(), keys_.lowest_skipped()})
    from = std::min(from, lowest.value_or(from));
  where.push_back({from, std::numeric_limits<std::int64_t>::max()});
  return joined(std::move(where));
}

bool core::caught_up() const {
  return read_all_ && bodiless_.empty();
}

}  // namespace outboxd::relay
