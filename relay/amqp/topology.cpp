#include "relay/amqp/topology.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "relay/amqp/codec.hpp"

namespace outboxd::relay::amqp {
namespace {

constexpr std::size_t max_known = 10'000;
constexpr std::size_t max_asked = 32;  // questions on their way at once

bool contains(const std::deque<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

bool topology::passes(const outbox::message& row) const {
  const bool key_waits = row.ordering_key && waiting_keys_.contains(*row.ordering_key);
  return !key_waits && is_known(row.exchange);
}

void topology::submit(const outbox::message& row, time_point now, steps& out) {
  if (passes(row)) {
    out.publish.push_back(&row);
    return;
  }
  waiting_.push_back({&row, now});
  if (row.ordering_key) ++waiting_keys_[*row.ordering_key];
  if (!is_known(row.exchange) && !is_wanted(row.exchange)) {
    unasked_.push_back(row.exchange);
    ask(out);
  }
}

void topology::control_opened(steps& out) {
  control_open_ = true;
  ask(out);
}

bool topology::declared(steps& out) {
  if (asked_.empty()) return false;
  learn(asked_.front());
  asked_.pop_front();
  release(out);
  ask(out);
  return true;
}

void topology::control_closed(int code, std::string_view text, steps& out) {
  control_open_ = false;
  if (asked_.empty()) return;
  const std::string answered = std::move(asked_.front());
  asked_.pop_front();
  unasked_.insert(unasked_.begin(), std::make_move_iterator(asked_.begin()),
                  std::make_move_iterator(asked_.end()));
  asked_.clear();
  refuse(answered, code, text, out);
  release(out);
}

std::vector<outbox::row_ref> topology::abandon() {
  std::vector<outbox::row_ref> rows;
  rows.reserve(waiting_.size());
  for (const waiting_row& w : waiting_) rows.push_back(w.row->ref);
  waiting_keys_.clear();
  waiting_.clear();
  unasked_.clear();
  known_.clear();
  return rows;
}

void topology::disconnected() {
  control_open_ = false;
  asked_.clear();
  unasked_.clear();
}

std::optional<topology::time_point> topology::oldest() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front().since;
}

bool topology::is_known(const std::string& exchange) const {
  // The default exchange always exists, and declaring it, even passively, is refused. A name that
  // fits no frame cannot be asked for: the encoder refuses its rows.
  return exchange.empty() || exchange.size() > short_string_max || known_.contains(exchange);
}

bool topology::is_wanted(const std::string& exchange) const {
  return contains(asked_, exchange) || contains(unasked_, exchange);
}

void topology::learn(const std::string& exchange) {
  if (known_.size() >= max_known) known_.clear();  // asking again is cheap, growing for ever is not
  known_.insert(exchange);
}

void topology::ask(steps& out) {
  while (control_open_ && !unasked_.empty() && asked_.size() < max_asked) {
    out.declare.push_back(unasked_.front());
    asked_.push_back(std::move(unasked_.front()));
    unasked_.pop_front();
  }
}

void topology::release(steps& out) {
  std::unordered_set<std::string_view> held;  // keys of rows that go on waiting
  std::deque<waiting_row> rest;
  for (const waiting_row& w : waiting_) {
    const auto& key = w.row->ordering_key;
    if (is_known(w.row->exchange) && !(key && held.contains(*key))) {
      forget_key(*w.row);
      out.publish.push_back(w.row);
    } else {
      if (key) held.insert(*key);
      rest.push_back(w);
      // It was known when the row came, and has been forgotten to keep the memory bounded.
      if (!is_known(w.row->exchange) && !is_wanted(w.row->exchange))
        unasked_.push_back(w.row->exchange);
    }
  }
  waiting_ = std::move(rest);
}

void topology::refuse(const std::string& exchange, int code, std::string_view text, steps& out) {
  const verdict what = code == 404 ? verdict::no_exchange : verdict::forbidden;
  out.refused_exchange = exchange;
  std::deque<waiting_row> rest;
  for (const waiting_row& w : waiting_) {
    if (w.row->exchange == exchange) {
      forget_key(*w.row);
      out.refused.push_back({w.row->ref, what, doubt::none, code, std::string(text)});
    } else {
      rest.push_back(w);
    }
  }
  waiting_ = std::move(rest);
}

void topology::forget_key(const outbox::message& row) {
  if (!row.ordering_key) return;
  const auto it = waiting_keys_.find(*row.ordering_key);
  assert(it != waiting_keys_.end());
  if (--it->second == 0) waiting_keys_.erase(it);
}

}  // namespace outboxd::relay::amqp
