#include "relay/destinations.hpp"

#include <algorithm>
#include <utility>

namespace outboxd::relay {

namespace {

constexpr std::size_t failures_to_hold = 3;
constexpr std::size_t holds_of_an_exchange = 32;  // beyond, the exchange is held
constexpr std::size_t holds_at_most = 1'024;      // beyond, rows fail one by one
constexpr std::size_t waiting_per_hold = 2;
constexpr std::size_t remembered_at_most = 4'096;

}  // namespace

destinations::destinations(std::size_t max_in_flight, base::backoff probes,
                           std::size_t waiting_at_most, std::function<double()> random)
    : max_in_flight_(max_in_flight),
      backoff_(probes),
      waiting_at_most_(waiting_at_most),
      random_(std::move(random)) {}

// ---- what is remembered ----

site& destinations::at(const std::string& exchange, const std::string& routing_key) {
  if (const auto it = sites_.find({exchange, routing_key}); it != sites_.end()) return *it->second;
  auto& e = exchanges_[exchange];
  if (!e) {
    e = std::make_unique<exchange_site>();
    e->name = exchange;
  }
  ++e->sites;
  auto s = std::make_unique<site>();
  s->exchange = e.get();
  s->routing_key = routing_key;
  site& made = *s;
  sites_.emplace(name_of(made), std::move(s));
  return made;
}

void destinations::enter(row& r) {
  r.where = &at(r.msg.exchange, r.msg.routing_key);
  ++r.where->rows;
}

void destinations::leave(row& r) {
  if (r.where == nullptr) return;
  forget(r);
  site& s = *std::exchange(r.where, nullptr);
  --s.rows;
  forget_if_idle(s);
}

// Failures are remembered for some time although no row is there; the oldest go first.
void destinations::forget_if_idle(site& s) {
  if (s.rows > 0) return;
  const bool plain = s.failed.empty() && s.exchange->failed.empty() && !s.held &&
                     !s.exchange->held && s.share == whole_window;
  if (plain) return erase_if_idle(name_of(s));
  remembered_.emplace_back(s.exchange->name, s.routing_key);
  while (remembered_.size() > remembered_at_most) {
    erase_if_idle({remembered_.front().first, remembered_.front().second});
    remembered_.pop_front();
  }
}

void destinations::erase_if_idle(const site_name& name) {
  const auto it = sites_.find(name);
  if (it == sites_.end() || it->second->rows > 0 || it->second->held) return;
  exchange_site& e = *it->second->exchange;
  sites_.erase(it);
  if (--e.sites == 0 && !e.held) exchanges_.erase(std::string(e.name));
}

hold* destinations::hold_of(const outbox::message& m) {
  if (holds_.empty()) return nullptr;
  const auto e = exchanges_.find(m.exchange);
  if (e == exchanges_.end()) return nullptr;
  if (e->second->held) return e->second->held.get();
  if (e->second->held_sites == 0) return nullptr;
  const auto s = sites_.find({m.exchange, m.routing_key});
  return s == sites_.end() ? nullptr : s->second->held.get();
}

// ---- waiting to be a probe ----

bool destinations::may_wait(const hold& h, const outbox::message& m) const {
  // Kept free for those that have none: their destinations would never be asked.
  if (h.shown.paused) return false;
  const std::size_t spare = h.pool.empty() ? 0 : waiting_at_most_ / 2;
  if (h.pool.size() >= waiting_per_hold || waiting_ + spare >= waiting_at_most_) return false;
  return h.silent || (m.ref.id > h.after && (!h.only_fresh || m.attempts == 0));
}

bool destinations::wait(row& r) {
  hold& h = *r.where->current();
  h.fed = true;
  if (!may_wait(h, r.msg)) return false;
  r.state = row_state::held;
  h.pool.push_back(&r);
  // It is always the same row of a destination that does not answer: the lowest.
  if (h.silent) std::sort(h.pool.begin(), h.pool.end(), lower_id{});
  ++waiting_;
  find_next_probe();
  return true;
}

void destinations::forget(row& r) {
  r.probe = false;
  hold* h = r.where->current();
  if (h == nullptr) return;
  if (h->probing == &r) h->probing = nullptr;
  waiting_ -= std::erase(h->pool, &r);
  find_next_probe();
}

// ---- failures ----

void destinations::note(std::vector<outbox::row_ref>& failed, const outbox::row_ref& ref) {
  if (std::find(failed.begin(), failed.end(), ref) == failed.end()) failed.push_back(ref);
}

bool destinations::failed(row& r, verdict what, const std::string& reason, time_point now) {
  site& s = *r.where;
  if (hold* h = s.current(); h != nullptr) {
    if (h->probing == &r) {
      h->shown.reason = reason;
      h->silent = false;
      schedule(*h, now);
    }
    forget(r);
    return true;
  }
  // A row that failed before and fails again says nothing new of a destination where others go.
  if (r.msg.attempts == 0 || s.confirmed == 0) count(s, r.msg.ref, what, reason, now);
  return false;
}

void destinations::failed_before(const outbox::failed_row& f, const std::string& reason,
                                 time_point now) {
  site& s = at(f.exchange, f.routing_key);
  if (s.current() == nullptr) count(s, f.ref, verdict::returned, reason, now);
  forget_if_idle(s);
}

void destinations::count(site& s, const outbox::row_ref& ref, verdict what,
                         const std::string& reason, time_point now) {
  const bool of_exchange = what == verdict::no_exchange;
  auto& failed = of_exchange ? s.exchange->failed : s.failed;
  note(failed, ref);
  if (failed.size() < failures_to_hold || holds_.size() >= holds_at_most) {
    if (failed.size() > failures_to_hold) failed.erase(failed.begin());
    return;
  }
  if (of_exchange) {
    begin_exchange(*s.exchange, reason, now);
  } else {
    begin_site(s, reason, now);
  }
}

void destinations::silent(row& r, const std::string& reason, time_point now) {
  site& s = *r.where;
  hold* h = s.current();
  if (h == nullptr) {
    if (holds_.size() >= holds_at_most) return;
    begin_site(s, reason, now);
    h = s.current();
  }
  if (h->shown.paused) return;
  h->silent = true;
  h->shown.reason = reason;
}

void destinations::probe_lost(row& r, time_point now) {
  hold* h = r.where->current();
  if (h != nullptr && h->probing == &r) {
    schedule(*h, now);
    forget(r);
  }
  r.probe = false;  // maybe of a hold that ended with an earlier lead
}

void destinations::suspect(row& r) {
  r.suspect = true;
  r.where->trusted = false;
}

// ---- holds ----

void destinations::begin(std::unique_ptr<hold>& place, outbox::destination where,
                         const std::string& reason, time_point now) {
  place = std::make_unique<hold>();
  place->shown.where = std::move(where);
  place->shown.reason = reason;
  place->shown.since = now;
  place->shown.next_probe = now + pause(*place);
  place->fed = true;
  holds_.push_back(place.get());
  events_.push_back({true, place->shown});
  find_next_probe();
}

void destinations::begin_site(site& s, const std::string& reason, time_point now) {
  exchange_site& e = *s.exchange;
  if (e.held_sites++ == 0) e.confirmed_at_first_hold = e.confirmed;
  begin(s.held, {e.name, s.routing_key}, reason, now);
  // Those before the last one that went have been tried, or wait for others.
  s.held->after = s.last_good;
  // One hold for all of them; unless some routing keys of the exchange do work.
  if (e.held_sites > holds_of_an_exchange && e.confirmed == e.confirmed_at_first_hold)
    begin_exchange(e, reason, now);
}

// The rows that waited for one of its routing keys wait for the exchange now, as many as may.
void destinations::begin_exchange(exchange_site& e, const std::string& reason, time_point now) {
  std::vector<row*> waited;
  row* probing = nullptr;
  for (auto& [name, s] : sites_) {
    if (s->exchange != &e || !s->held) continue;
    if (s->held->probing != nullptr) probing = s->held->probing;
    for (row* r : end_site(*s, true)) waited.push_back(r);
  }
  begin(e.held, {e.name, std::nullopt}, reason, now);
  e.held->probing = probing;
  if (probing != nullptr) probing->probe = true;
  // More than may wait: they all do, it is a few and only once.
  e.held->pool = std::move(waited);
  waiting_ += e.held->pool.size();
  find_next_probe();
}

std::vector<row*> destinations::end(std::unique_ptr<hold>& place, bool quietly) {
  const std::unique_ptr<hold> ended = std::move(place);
  std::erase(holds_, ended.get());
  if (!quietly) events_.push_back({false, ended->shown});
  waiting_ -= ended->pool.size();
  if (ended->probing != nullptr) ended->probing->probe = false;
  find_next_probe();
  return std::move(ended->pool);
}

std::vector<row*> destinations::end_site(site& s, bool quietly) {
  --s.exchange->held_sites;
  s.failed.clear();
  return end(s.held, quietly);
}

std::vector<row*> destinations::succeeded(row& r) {
  site& s = *r.where;
  exchange_site& e = *s.exchange;
  ++s.confirmed;
  ++e.confirmed;
  s.trusted = true;
  s.last_good = r.msg.ref.id;
  s.failed.clear();
  e.failed.clear();
  if (s.share != whole_window && ++s.share >= max_in_flight_) s.share = whole_window;
  if (e.held && e.held->shown.paused) return {};
  if (e.held) {
    for (auto& [name, other] : sites_) {
      if (other->exchange == &e) other->share = 1;
    }
    return end(e.held);
  }
  if (s.held) {
    s.share = 1;
    return end_site(s);
  }
  return {};
}

void destinations::reset() {
  for (auto& [name, s] : sites_) {
    s->failed.clear();
    s->share = whole_window;
    s->held.reset();
  }
  for (auto& [name, e] : exchanges_) {
    e->failed.clear();
    e->held.reset();
    e->held_sites = 0;
  }
  holds_.clear();
  paused_ = 0;
  events_.clear();
  waiting_ = 0;
  next_probe_.reset();
  hungry_at_.reset();
}

std::vector<hold_info> destinations::holds() const {
  std::vector<hold_info> shown;
  shown.reserve(holds_.size());
  for (const hold* h : holds_) {
    shown.push_back(h->shown);
    shown.back().probing = h->probing != nullptr;
  }
  return shown;
}

}  // namespace outboxd::relay
