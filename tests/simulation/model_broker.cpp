#include "tests/simulation/model_broker.hpp"

#include <algorithm>

namespace outboxd::simulation {

// ---- the client's side ----

model_broker::connection_id model_broker::connect() {
  connections_[next_];
  return next_++;
}

void model_broker::declare(connection_id c, const std::string& exchange) {
  connections_.at(c).questions.push_back(exchange);
}

void model_broker::write(connection_id c, const outbox::message& m) {
  connection& to = connections_.at(c);
  to.published = true;
  if (to.channel_open) to.written.push_back(m);
}

std::vector<frame> model_broker::receive(connection_id c, std::size_t at_most) {
  std::deque<frame>& answers = connections_.at(c).answers;
  const auto end = answers.begin() + static_cast<std::ptrdiff_t>(std::min(at_most, answers.size()));
  std::vector<frame> some(answers.begin(), end);
  answers.erase(answers.begin(), end);
  return some;
}

// After a reset nothing more is read; what had arrived before may have been processed already.
void model_broker::leave(connection_id id, goodbye how) {
  connection& c = connections_.at(id);
  c.client_left = true;
  c.questions.clear();
  if (how == goodbye::closed) return;
  if (!alarm_)
    for (std::size_t n = luck_.index(c.written.size() + 1); n > 0 && !c.written.empty(); --n)
      process(id, c);
  connections_.erase(id);
}

void model_broker::reopen_channel(connection_id id) {
  connection& c = connections_.at(id);
  c.channel_open = true;
  c.known.clear();
  c.stubborn.clear();
  c.next = 1;
  c.unconfirmed.clear();
  for (auto& [d, rows] : withheld_)
    for (withheld& w : rows)
      if (w.from == id) w.from = 0;
}

// ---- what goes wrong ----

void model_broker::set_alarm(bool on) {
  alarm_ = on;
  if (on) return;
  for (auto& [id, c] : connections_)
    if (std::exchange(c.told_blocked, false)) c.answers.push_back({frame::kind::unblocked});
}

// A queue that finds its quorum again stores what it was sent and answers, or never; what it has
// lost of a channel, and everything after that, it never answers.
void model_broker::set(const destination& d, trouble t) {
  destinations_[d] = t;
  if (t == trouble::silent) return;
  for (const withheld& w : std::exchange(withheld_[d], {})) {
    if (luck_.per_cent(10)) deaf_.insert({w.from, d});
    if (deaf_.contains({w.from, d})) continue;
    checker_.delivered(w.msg.ref, false);
    if (luck_.per_cent(70)) decide(w.from, w.number, word::ack);
  }
}

trouble model_broker::of(const std::string& exchange) const {
  const auto it = exchanges_.find(exchange);
  return it == exchanges_.end() ? trouble::none : it->second;
}

trouble model_broker::ails(const destination& d) const {
  if (const trouble t = of(d.first); t != trouble::none) return t;
  const auto it = destinations_.find(d);
  return it == destinations_.end() ? trouble::none : it->second;
}

void model_broker::close(connection_id id, int code) {
  connection& c = connections_.at(id);
  c.channel_open = false;
  c.written.clear();
  c.questions.clear();
  c.unconfirmed.clear();
  c.answers.push_back({.what = frame::kind::connection_closed, .code = code, .text = "closed"});
}

// ---- what it does by itself ----

void model_broker::step() {
  for (auto it = connections_.begin(); it != connections_.end();) {
    auto& [id, c] = *it;
    if (alarm_) {
      if (c.published && !c.client_left && !std::exchange(c.told_blocked, true))
        c.answers.push_back({frame::kind::blocked});
      ++it;
      continue;
    }
    for (int n = luck_.any(0, 2); n > 0 && !c.questions.empty(); --n) answer_question(c);
    for (int n = luck_.any(0, 5); n > 0 && !c.written.empty(); --n) process(id, c);
    if (luck_.per_cent(60)) confirm(c);
    // Of what the client wrote before it left, a prefix is read, or all of it.
    const bool over = c.client_left && (c.written.empty() || luck_.per_cent(3));
    it = over ? connections_.erase(it) : std::next(it);
  }
}

void model_broker::answer_question(connection& c) {
  const std::string exchange = std::move(c.questions.front());
  c.questions.pop_front();
  if (of(exchange) != trouble::missing) {
    c.answers.push_back({frame::kind::declared});
    return;
  }
  c.questions.clear();  // lost with the channel
  c.answers.push_back({.what = frame::kind::control_closed,
                       .code = 404,
                       .text = "NOT_FOUND - no exchange '" + exchange + "'"});
}

void model_broker::process(connection_id id, connection& c) {
  const outbox::message m = std::move(c.written.front());
  c.written.pop_front();
  const nature what = checker_.of(m.ref).what;
  if (what == nature::kills_connection) return close(id, 541);
  if (what == nature::refused)
    return close_channel(c, 406, "PRECONDITION_FAILED - invalid message");
  switch (of(m.exchange)) {
    case trouble::forbidden:
      return close_channel(c, 403, "ACCESS_REFUSED - access to exchange refused");
    case trouble::missing:
      return close_channel(c, 404, "NOT_FOUND - no exchange");
    default:
      break;
  }
  const tag t = c.next++;
  c.unconfirmed[t] = word::none;
  route(id, c, t, m);
}

void model_broker::route(connection_id id, connection& c, tag t, const outbox::message& m) {
  const destination d{m.exchange, m.routing_key};
  const trouble ails_it = ails(d);
  if (ails_it == trouble::unroutable || checker_.of(m.ref).what == nature::never_routes) {
    if (m.mandatory) {
      checker_.refused(m.ref);
      c.answers.push_back(
          {.what = frame::kind::returned, .ref = m.ref, .code = 312, .text = "NO_ROUTE"});
    } else {
      checker_.dropped(m.ref);
    }
    return decide(id, t, word::ack);
  }
  // A quorum queue that was just losing its leader when the channel met it.
  const bool first = c.known.insert(d).second;
  const bool ill = ails_it == trouble::silent || ails_it == trouble::full;
  if (first && ill && luck_.per_cent(50)) c.stubborn.insert(d);
  if (c.stubborn.contains(d)) {
    checker_.refused(m.ref);
    return decide(id, t, word::nack);
  }
  if (deaf_.contains({id, d})) return;
  if (ails_it == trouble::silent) {
    withheld_[d].push_back({id, t, m});
    return;
  }
  if (ails_it == trouble::full) {
    checker_.refused(m.ref);
    // One of several queues refuses it, the others keep it.
    if (luck_.per_cent(20)) checker_.delivered(m.ref, true);
    return decide(id, t, word::nack);
  }
  checker_.delivered(m.ref, false);
  decide(id, t, word::ack);
}

void model_broker::decide(connection_id id, tag t, word w) {
  const auto c = connections_.find(id);
  if (c == connections_.end()) return;
  const auto it = c->second.unconfirmed.find(t);
  if (it != c->second.unconfirmed.end()) it->second = w;
}

// Each queue confirms when it likes. Nacks go first; then the acks, where one may stand for all
// lower tags, those that were nacked before included.
void model_broker::confirm(connection& c) {
  if (!c.channel_open || c.client_left) return;
  std::set<tag> acks;
  const bool all = !reorders || luck_.per_cent(40);
  for (auto it = c.unconfirmed.begin(); it != c.unconfirmed.end();) {
    const auto [t, w] = *it;
    if (w == word::none || !(all || luck_.per_cent(50))) {
      ++it;
      continue;
    }
    if (w == word::nack) {
      const bool lowest = it == c.unconfirmed.begin() && acks.empty();
      c.answers.push_back({.what = frame::kind::nack, .number = t, .multiple = lowest});
    } else {
      acks.insert(t);
    }
    it = c.unconfirmed.erase(it);
  }
  if (!acks.empty()) confirm_acks(c, acks);
}

void model_broker::confirm_acks(connection& c, const std::set<tag>& chosen) {
  const tag cutoff = c.unconfirmed.empty() ? c.next : c.unconfirmed.begin()->first;
  std::vector<tag> single(chosen.begin(), chosen.end());
  const auto above = std::lower_bound(single.begin(), single.end(), cutoff);
  if (reorders && above != single.begin() && luck_.per_cent(70)) {
    c.answers.push_back({.what = frame::kind::ack, .number = *std::prev(above), .multiple = true});
    single.erase(single.begin(), above);
  }
  while (!single.empty()) {
    const std::size_t i = reorders ? luck_.index(single.size()) : 0;
    c.answers.push_back({.what = frame::kind::ack, .number = single[i]});
    single.erase(single.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// The close frame names no tag, and what has not been confirmed by then never will be.
void model_broker::close_channel(connection& c, int code, const std::string& text) {
  c.channel_open = false;
  c.written.clear();
  c.unconfirmed.clear();
  c.answers.push_back({.what = frame::kind::channel_closed, .code = code, .text = text});
}

}  // namespace outboxd::simulation
