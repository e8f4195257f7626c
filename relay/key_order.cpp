#include "relay/key_order.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace outboxd::relay {

namespace {

// A key of whose rows so few wait in memory is read further: one after the other, or at full speed.
constexpr std::size_t low_water = 16;
constexpr std::size_t low_water_pipelined = 256;

// So many keys are kept although nothing is known of them: to enter a key and to forget it costs
// more than everything else that is done for a row of it. Some 4 MB.
constexpr std::size_t most_idle = 16'384;

std::optional<std::int64_t> lower(std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

}  // namespace

// ---- may a row come in? ----

// Rows from this id on may not come into memory.
std::optional<std::int64_t> key_state::closed_from() const {
  const auto unread = lower(skipped, asked);
  return failed.empty() ? unread : lower(unread, failed.front().id + 1);
}

// The lowest skipped row does not wait for one that failed.
bool key_state::readable() const {
  return skipped && (failed.empty() || *skipped < failed.front().id);
}

bool key_order::room_for(const key_state& k, std::size_t free_rows) const {
  return free_rows > 0 && (!k.in_memory() || k.waiting.size() < share(free_rows));
}

bool key_order::admit(const outbox::message& pending, std::size_t free_rows, change& c) {
  key_state* k = find(*pending.ordering_key);
  if (k == nullptr) return true;
  const auto closed = k->closed_from();
  if ((!closed || pending.ref.id < *closed) && room_for(*k, free_rows)) return true;
  k->skipped = lower(k->skipped, pending.ref.id);
  c = close_behind(*k, pending.ref.id);
  return false;
}

bool key_order::admit_due(const outbox::message& due, std::size_t free_rows) const {
  const key_state* k = find(*due.ordering_key);
  if (k == nullptr) return true;
  const auto closed = k->closed_from();
  if (closed && due.ref.id >= *closed) return false;
  const bool comes_back = !k->failed.empty() && k->failed.front() == due.ref;
  return comes_back ? free_rows > 0 : room_for(*k, free_rows);
}

bool key_order::admit_skipped(const outbox::message& skipped, std::size_t free_rows, change& c) {
  key_state* k = find(*skipped.ordering_key);
  if (k == nullptr) return free_rows > 0;
  const bool behind_failed = !k->failed.empty() && skipped.ref.id > k->failed.front().id;
  const bool behind_skipped = k->skipped && skipped.ref.id > *k->skipped;
  if (!behind_failed && !behind_skipped && !k->passed && room_for(*k, free_rows)) return true;
  if (!k->passed) k->skipped = lower(k->skipped, skipped.ref.id);
  c = close_behind(*k, skipped.ref.id);
  return false;
}

void key_order::skipped_elsewhere(const std::string& key) {
  key_state* k = find(key);
  if (k != nullptr && k->asked) k->passed = true;
}

bool key_order::in_memory(const std::string& key) const {
  const key_state* k = find(key);
  return k != nullptr && k->in_memory();
}

bool key_order::in_flight(const std::string& key) const {
  const key_state* k = find(key);
  return k != nullptr && k->flying > 0;
}

bool key_order::waits(const std::string& key) const {
  const key_state* k = find(key);
  return k != nullptr && k->next != nullptr && k->next->state == row_state::held;
}

// ---- a row's way ----

key_order::change key_order::add(row& r) {
  key_state& k = at(*r.msg.ordering_key);
  r.key = &k;
  change c;
  line_up(k, r, c);
  recount(k);
  return c;
}

// Among those that wait; a lower id than the next one takes its place.
void key_order::line_up(key_state& k, row& r, change& c) const {
  k.waiting.insert(k.waiting.end(), r);  // it is mostly the highest so far
  if (k.next != nullptr && lower_id{}(&r, k.next)) c.down = std::exchange(k.next, nullptr);
  promote(k, c);
}

key_order::change key_order::published(row& r) {
  key_state& k = *r.key;
  assert(k.next == &r);
  k.waiting.erase(k.waiting.iterator_to(r));
  k.next = nullptr;
  ++k.flying;
  if (r.apart) ++k.apart;
  change c;
  promote(k, c);
  recount(k);
  return c;
}

key_order::change key_order::failed(row& r) {
  key_state& k = *r.key;
  withdraw(k, r);
  ++k.failing;
  change c;
  c.down = std::exchange(k.next, nullptr);
  return c;
}

key_order::change key_order::finish(row& r) {
  key_state& k = take_out(r);
  change c;
  promote(k, c);
  recount(k);
  return c;
}

key_order::change key_order::defer(row& r) {
  key_state& k = take_out(r);
  remember_failed(k, r.msg.ref);
  return close_behind(k, r.msg.ref.id);
}

key_order::change key_order::forget(row& r) {
  key_state& k = take_out(r);
  k.skipped = lower(k.skipped, r.msg.ref.id);
  return close_behind(k, r.msg.ref.id);
}

// What failed or was skipped before it while it was in flight has to go first.
key_order::change key_order::again(row& r) {
  key_state& k = *r.key;
  withdraw(k, r);
  change c;
  const auto closed = k.closed_from();
  if (closed && *closed <= r.msg.ref.id) {
    const bool deferred = std::find(k.failed.begin(), k.failed.end(), r.msg.ref) != k.failed.end();
    if (!deferred) k.skipped = lower(k.skipped, r.msg.ref.id);
    c.evicted.push_back(&r);
    promote(k, c);
  } else {
    r.state = row_state::queued;
    line_up(k, r, c);
  }
  recount(k);
  return c;
}

key_order::change key_order::send_back(row& r) {
  withdraw(*r.key, r);
  return send_back_behind(r.msg.ordering_key.value(), r.msg.ref.id);
}

key_order::change key_order::send_back_behind(const std::string& key, std::int64_t id) {
  change c;
  key_state* k = find(key);
  if (k == nullptr) return c;
  const auto skipped = k->skipped;
  evict_behind(*k, id, c);
  k->skipped = skipped;  // the caller remembers them
  promote(*k, c);
  recount(*k);
  return c;
}

key_order::change key_order::hold(const std::string& key, const outbox::row_ref& failed) {
  key_state& k = at(key);
  remember_failed(k, failed);
  return close_behind(k, failed.id);
}

void key_order::release(const std::string& key, const outbox::row_ref& failed) {
  key_state* k = find(key);
  if (k == nullptr) return;
  std::erase(k->failed, failed);
  recount(*k);
}

void key_order::put_off(const std::string& key, std::int64_t id) {
  key_state& k = at(key);
  k.skipped = lower(k.skipped, id);
  recount(k);
}

void key_order::release_if(const std::function<bool(const outbox::row_ref&)>& is_final) {
  for (auto it = keys_.begin(); it != keys_.end();) {
    key_state& k = *(it++)->second;
    if (std::erase_if(k.failed, is_final) > 0) recount(k);
  }
}

// ---- rows that were skipped ----

std::optional<outbox::scan> key_order::ask(std::size_t max_keys) {
  outbox::scan walk;
  while (!ripe_.empty() && walk.keys.size() < max_keys) {
    const std::string key = std::move(ripe_.front());
    ripe_.pop_front();
    key_state& k = *keys_.at(key);
    k.ripe = false;
    if (!k.readable()) continue;  // held since; recount() queues it again when the hold is lifted
    k.asked = std::exchange(k.skipped, std::nullopt);
    k.passed = false;
    walk.after = walk.keys.empty() ? *k.asked - 1 : std::min(walk.after, *k.asked - 1);
    walk.keys.push_back(key);
  }
  if (walk.keys.empty()) return std::nullopt;
  return walk;
}

void key_order::answered(const outbox::scan& asked, std::int64_t to, bool all) {
  for (const std::string& key : asked.keys) {
    key_state* k = find(key);
    if (k == nullptr || !k->asked) continue;  // the reader was restarted meanwhile
    const std::int64_t from = *std::exchange(k->asked, std::nullopt);
    if (!std::exchange(k->passed, false) && !all)
      k->skipped = lower(k->skipped, std::max(from, to + 1));
    recount(*k);
  }
}

std::optional<std::int64_t> key_order::lowest_skipped() const {
  std::optional<std::int64_t> lowest;
  for (const auto& [key, k] : keys_) lowest = lower(lowest, lower(k->skipped, k->asked));
  return lowest;
}

void key_order::restart() {
  ripe_.clear();
  for (auto it = keys_.begin(); it != keys_.end();) {
    key_state& k = *(it++)->second;
    k.skipped.reset();
    k.asked.reset();
    k.ripe = k.passed = false;
    recount(k);
  }
}

void key_order::reset() {
  restart();
  for (auto it = keys_.begin(); it != keys_.end();) {
    key_state& k = *(it++)->second;
    k.failed.clear();
    k.waiting.clear();
    k.next = nullptr;
    recount(k);
  }
}

// ---- inside ----

key_state* key_order::find(std::string_view key) const {
  const auto it = keys_.find(key);
  return it == keys_.end() || it->second->idle ? nullptr : it->second.get();
}

// Not while somebody walks over the keys.
key_state& key_order::at(const std::string& key) {
  if (const auto it = keys_.find(key); it != keys_.end()) {
    if (std::exchange(it->second->idle, false)) --idle_;
    return *it->second;
  }
  if (idle_ >= most_idle) forget_idle();
  auto taken = pool_.take();
  key_state& k = *taken;
  k.name = key;
  keys_.emplace(k.name, std::move(taken));
  return k;
}

void key_order::forget_idle() {
  for (auto it = keys_.begin(); it != keys_.end();) {
    const auto here = it++;
    if (!here->second->idle) continue;
    auto forgotten = std::move(here->second);
    keys_.erase(here);
    pool_.give_back(std::move(forgotten));
  }
  idle_ = 0;
}

void key_order::remember_failed(key_state& k, const outbox::row_ref& ref) {
  const auto place = std::lower_bound(k.failed.begin(), k.failed.end(), ref);
  if (place == k.failed.end() || *place != ref) k.failed.insert(place, ref);
}

key_order::change key_order::close_behind(key_state& k, std::int64_t id) {
  change c;
  evict_behind(k, id, c);
  promote(k, c);
  recount(k);
  return c;
}

// Behind others that are in flight only where the broker keeps them in order: on one lane.
bool key_order::may_go(const key_state& k) const {
  if (k.failing > 0) return false;
  if (k.flying == 0) return true;
  return pipelined_ && k.apart == 0 && !quarantined(*k.waiting.begin());
}

void key_order::promote(key_state& k, change& c) const {
  if (k.next != nullptr || k.waiting.empty() || !may_go(k)) return;
  k.next = &*k.waiting.begin();
  c.up = k.next;
}

void key_order::evict_behind(key_state& k, std::int64_t id, change& c) {
  while (!k.waiting.empty() && k.waiting.rbegin()->msg.ref.id > id) {
    row& r = *k.waiting.rbegin();
    k.waiting.erase(k.waiting.iterator_to(r));
    k.skipped = lower(k.skipped, r.msg.ref.id);
    if (k.next == &r) k.next = nullptr;
    c.evicted.push_back(&r);
  }
}

// The row is no longer among those that wait, are in flight or fail. Its state still says which.
void key_order::withdraw(key_state& k, row& r) {
  if (r.state == row_state::in_flight) {
    --k.flying;
    if (r.apart) --k.apart;
  } else if (r.state == row_state::deciding) {
    --k.failing;
  } else {
    k.waiting.erase(k.waiting.iterator_to(r));
    if (k.next == &r) k.next = nullptr;
  }
}

// The same, and it is not among the failed any more.
key_state& key_order::take_out(row& r) {
  key_state& k = *r.key;
  withdraw(k, r);
  std::erase(k.failed, r.msg.ref);
  return k;
}

void key_order::recount(key_state& k) {
  if (k.idle) return;
  const bool held = !k.failed.empty();
  const bool closed = !k.in_memory() && (held || k.skipped || k.asked);
  held_ += static_cast<std::size_t>(held) - static_cast<std::size_t>(k.counted_failed > 0);
  failed_ += k.failed.size() - std::exchange(k.counted_failed, k.failed.size());
  closed_ += static_cast<std::size_t>(closed) -
             static_cast<std::size_t>(std::exchange(k.counted_closed, closed));
  const bool low = k.waiting.size() <= (pipelined_ ? low_water_pipelined : low_water);
  if (k.readable() && !k.asked && !k.ripe && low) {
    k.ripe = true;
    ripe_.push_back(k.name);
  }
  if (!k.in_memory() && !held && !k.skipped && !k.asked) {
    if (std::exchange(k.ripe, false)) std::erase(ripe_, k.name);
    k.passed = false;
    k.idle = true;
    ++idle_;
  }
}

}  // namespace outboxd::relay
