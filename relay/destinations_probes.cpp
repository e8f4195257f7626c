// When a destination that is held is asked again, and by which of its rows; and those that
// operators have paused, which are not asked.
#include <algorithm>
#include <utility>

#include "relay/destinations.hpp"

namespace outboxd::relay {

namespace {

using namespace std::chrono_literals;

// A destination that is held is asked again at least so often, however long it has been so: one
// publish costs nothing, and what was mended should go on. Not so one that does not answer: what it
// is asked may be sent twice.
constexpr std::chrono::milliseconds longest_pause = 10'000ms;

}  // namespace

// ---- probes ----

std::chrono::milliseconds destinations::pause(const hold& h) const {
  const auto pause = backoff_.after(h.shown.probes + h.in_vain + 1, random_());
  return h.silent ? pause : std::min(pause, longest_pause);
}

void destinations::schedule(hold& h, time_point now) {
  ++h.shown.probes;
  h.shown.next_probe = now + pause(h);
  find_next_probe();
}

void destinations::find_next_probe() {
  next_probe_.reset();
  hungry_at_.reset();
  for (const hold* h : holds_) {
    if (h->probing != nullptr || h->shown.paused) continue;
    auto& earliest = h->pool.empty() ? hungry_at_ : next_probe_;
    earliest = std::min(earliest.value_or(h->shown.next_probe), h->shown.next_probe);
  }
}

std::vector<row*> destinations::take_probes(time_point now) {
  std::vector<row*> probes;
  if (!next_probe_ || *next_probe_ > now) return probes;
  for (hold* h : holds_) {
    if (h->probing != nullptr || h->pool.empty() || h->shown.next_probe > now) continue;
    h->probing = h->pool.front();
    h->pool.erase(h->pool.begin());
    --waiting_;
    h->probing->probe = true;
    h->in_vain = 0;
    h->after = h->probing->msg.ref.id;
    probes.push_back(h->probing);
  }
  if (!probes.empty()) find_next_probe();
  return probes;
}

std::vector<outbox::destination> destinations::sated(time_point now) {
  std::vector<outbox::destination> sated;
  for (hold* h : holds_) {
    const bool wants =
        h->probing == nullptr && h->pool.empty() && !h->shown.paused && h->shown.next_probe <= now;
    if (wants) continue;
    h->fed = h->left_out = true;
    sated.push_back(h->shown.where);
  }
  return sated;
}

void destinations::round_begins() {
  for (hold* h : holds_) {
    h->fed = h->probing != nullptr || !h->pool.empty();
    h->left_out = false;
  }
}

bool destinations::round_ended(time_point now) {
  const std::size_t held = holds_.size();
  for (hold* h : holds_) {
    if (h->probing != nullptr || !h->pool.empty() || h->left_out || h->shown.paused) continue;
    const bool all_had_a_chance = h->silent || (h->after == 0 && !h->only_fresh);
    h->only_fresh = h->after != 0 || !h->only_fresh;
    h->after = 0;
    // Its rows are there, but wait for others of their keys: the next round would not help.
    if (!all_had_a_chance || h->shown.next_probe > now) continue;
    ++h->in_vain;
    h->shown.next_probe = now + pause(*h);
  }
  find_next_probe();
  const auto unfed = [](const std::unique_ptr<hold>& h) {
    return h && !h->fed && h->probing == nullptr && h->pool.empty() && !h->shown.paused;
  };
  std::vector<site*> over;
  for (auto& [name, s] : sites_) {
    if (unfed(s->held)) over.push_back(s.get());
  }
  for (site* s : over) {
    end_site(*s);
    forget_if_idle(*s);  // and maybe others, but none that is held
  }
  for (auto& [name, e] : exchanges_) {
    if (unfed(e->held)) end(e->held);
  }
  return holds_.size() < held;
}

// ---- pauses ----

std::vector<row*> destinations::pause_exchange(const std::string& exchange, time_point now) {
  auto& e = exchanges_[exchange];
  if (!e) {
    e = std::make_unique<exchange_site>();
    e->name = exchange;
  }
  std::vector<row*> waited;
  if (e->held && e->held->shown.paused) return waited;
  for (auto& [name, s] : sites_) {
    if (s->exchange != e.get() || !s->held) continue;
    for (row* r : end_site(*s)) waited.push_back(r);
  }
  if (e->held) waited = end(e->held);
  e->held = std::make_unique<hold>();
  e->held->shown = {
      .where = {exchange, std::nullopt}, .reason = "paused", .since = now, .paused = true};
  holds_.push_back(e->held.get());
  ++paused_;
  return waited;
}

void destinations::resume_exchange(const std::string& exchange) {
  const auto e = exchanges_.find(exchange);
  if (e == exchanges_.end() || !e->second->held || !e->second->held->shown.paused) return;
  end(e->second->held, true);
  --paused_;
  if (e->second->sites == 0) exchanges_.erase(e);
}

}  // namespace outboxd::relay
