#include "relay/key_order.hpp"

#include <boost/assert.hpp>

#include <algorithm>
#include <utility>

namespace outboxd::relay {

namespace {

// A key whose rows in memory have dwindled to so few is read further.
constexpr std::size_t low_water = 16;

std::size_t share(std::size_t free_rows) {
  return std::max<std::size_t>(1, free_rows / 8);
}

std::optional<std::int64_t> lower(std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

}  // namespace

// Rows from this id on may not come into memory.
std::optional<std::int64_t> key_order::key_state::closed_from() const {
  const auto unread = lower(skipped, asked);
  return failed.empty() ? unread : lower(unread, failed.front().id + 1);
}

bool key_order::room_for(const key_state& k, std::size_t free_rows) {
  return k.rows.empty() || k.rows.size() < share(free_rows);
}

bool key_order::admit(const outbox::message& pending, std::size_t free_rows) {
  const auto it = keys_.find(*pending.ordering_key);
  if (it == keys_.end()) return true;
  key_state& k = it->second;
  const auto closed = k.closed_from();
  if ((!closed || pending.ref.id < *closed) && room_for(k, free_rows)) return true;
  k.skipped = lower(k.skipped, pending.ref.id);
  settle(it);
  return false;
}

bool key_order::admit_due(const outbox::message& due, std::size_t free_rows) const {
  const auto it = keys_.find(*due.ordering_key);
  if (it == keys_.end()) return true;
  const key_state& k = it->second;
  if (!k.failed.empty() && k.failed.front() == due.ref) return true;
  const auto closed = k.closed_from();
  return (!closed || due.ref.id < *closed) && room_for(k, free_rows);
}

bool key_order::admit_skipped(const outbox::message& skipped, std::size_t free_rows) {
  const auto it = keys_.find(*skipped.ordering_key);
  if (it == keys_.end()) return true;
  const key_state& k = it->second;
  const bool behind_failed = !k.failed.empty() && skipped.ref.id > k.failed.front().id;
  const bool behind_skipped = k.skipped && skipped.ref.id > *k.skipped;
  return !behind_failed && !behind_skipped && room_for(k, free_rows);
}

key_order::change key_order::add(row& r) {
  const auto it = keys_.try_emplace(*r.msg.ordering_key).first;
  key_state& k = it->second;
  change c;
  k.rows.insert(&r);
  if (k.active != nullptr && lower_id{}(&r, k.active) && k.active->state != row_state::in_flight &&
      k.active->state != row_state::deciding) {
    c.down = std::exchange(k.active, nullptr);
  }
  promote(k, c);
  settle(it);
  return c;
}

key_order::change key_order::finish(row& r) {
  const auto it = take_out(r);
  change c;
  promote(it->second, c);
  settle(it);
  return c;
}

key_order::change key_order::fail(row& r) {
  const auto it = take_out(r);
  remember_failed(it->second, r.msg.ref);
  return close_behind(it, r.msg.ref.id);
}

key_order::change key_order::forget(row& r) {
  const auto it = take_out(r);
  it->second.skipped = lower(it->second.skipped, r.msg.ref.id);
  return close_behind(it, r.msg.ref.id);
}

void key_order::hold(const std::string& key, const outbox::row_ref& failed) {
  const auto it = keys_.try_emplace(key).first;
  remember_failed(it->second, failed);
  settle(it);
}

void key_order::release_if(const std::function<bool(const outbox::row_ref&)>& is_final) {
  for (auto it = keys_.begin(); it != keys_.end();) {
    const auto current = it++;
    if (std::erase_if(current->second.failed, is_final) > 0) settle(current);
  }
}

std::vector<outbox::key_read> key_order::ask(std::size_t max_keys, std::size_t free_rows) {
  std::vector<outbox::key_read> reads;
  while (!ripe_.empty() && reads.size() < max_keys) {
    const std::string key = std::move(ripe_.front());
    ripe_.pop_front();
    key_state& k = keys_.at(key);
    k.ripe = false;
    if (!k.failed.empty())
      continue;  // held since; settle() queues it again when the hold is lifted
    k.asked = std::exchange(k.skipped, std::nullopt);
    reads.push_back({key, *k.asked, share(free_rows)});
  }
  return reads;
}

void key_order::answered(const outbox::key_read& asked, std::optional<std::int64_t> next) {
  const auto it = keys_.find(asked.key);
  if (it == keys_.end()) return;
  key_state& k = it->second;
  if (!k.asked) return;  // the reader was restarted meanwhile
  k.asked.reset();
  k.skipped = lower(k.skipped, next);
  settle(it);
}

void key_order::restart() {
  ripe_.clear();
  for (auto it = keys_.begin(); it != keys_.end();) {
    const auto current = it++;
    key_state& k = current->second;
    k.skipped.reset();
    k.asked.reset();
    k.ripe = false;
    settle(current);
  }
}

void key_order::reset() {
  restart();
  for (auto it = keys_.begin(); it != keys_.end();) {
    const auto current = it++;
    key_state& k = current->second;
    k.failed.clear();
    std::erase_if(k.rows, [](const row* r) {
      return r->state != row_state::in_flight && r->state != row_state::deciding;
    });
    k.active = k.rows.empty() ? nullptr : *k.rows.begin();
    settle(current);
  }
}

void key_order::remember_failed(key_state& k, const outbox::row_ref& ref) {
  const auto place = std::lower_bound(k.failed.begin(), k.failed.end(), ref);
  if (place == k.failed.end() || *place != ref) k.failed.insert(place, ref);
}

key_order::change key_order::close_behind(table::iterator it, std::int64_t id) {
  change c;
  evict_behind(it->second, id, c);
  promote(it->second, c);
  settle(it);
  return c;
}

void key_order::promote(key_state& k, change& c) {
  if (k.active != nullptr || k.rows.empty()) return;
  k.active = *k.rows.begin();
  c.up = k.active;
}

void key_order::evict_behind(key_state& k, std::int64_t id, change& c) {
  for (auto it = k.rows.begin(); it != k.rows.end();) {
    row* r = *it;
    if (r->msg.ref.id <= id || r == k.active) {
      ++it;
      continue;
    }
    k.skipped = lower(k.skipped, r->msg.ref.id);
    c.evicted.push_back(r);
    it = k.rows.erase(it);
  }
}

// The row is neither in its key's queue nor among the failed any more.
key_order::table::iterator key_order::take_out(row& r) {
  const auto it = keys_.find(*r.msg.ordering_key);
  BOOST_ASSERT(it != keys_.end());
  key_state& k = it->second;
  k.rows.erase(&r);
  std::erase(k.failed, r.msg.ref);
  if (k.active == &r) k.active = nullptr;
  return it;
}

void key_order::settle(table::iterator it) {
  key_state& k = it->second;
  const bool held = !k.failed.empty();
  const bool closed = k.rows.empty() && (held || k.skipped || k.asked);
  held_ += static_cast<std::size_t>(held) -
           static_cast<std::size_t>(std::exchange(k.counted_held, held));
  closed_ += static_cast<std::size_t>(closed) -
             static_cast<std::size_t>(std::exchange(k.counted_closed, closed));
  if (k.skipped && !k.asked && !held && !k.ripe && k.rows.size() <= low_water) {
    k.ripe = true;
    ripe_.push_back(it->first);
  }
  if (k.rows.empty() && !held && !k.skipped && !k.asked) {
    if (k.ripe) std::erase(ripe_, it->first);
    keys_.erase(it);
  }
}

}  // namespace outboxd::relay
