// Destinations, and rows that go to them.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "relay/destinations.hpp"

namespace outboxd::relay {

using namespace std::chrono_literals;

class destinations_test : public testing::Test {
 protected:
  static constexpr std::size_t max_in_flight = 8;
  static constexpr std::size_t waiting_at_most = 4;

  static outbox::row_ref ref(std::int64_t id) { return {.id = id, .message_id = {}}; }

  row& make(std::int64_t id, const std::string& routing_key = "k") {
    rows_.push_back(row{});
    row& r = rows_.back();
    r.msg.ref = ref(id);
    r.msg.exchange = exchange;
    r.msg.routing_key = routing_key;
    d.enter(r);
    return r;
  }

  // Was published, and is decided about.
  void fail(row& r, verdict what = verdict::returned) {
    d.failed(r, what, "no route", now);
    d.leave(r);
  }
  void fail(std::int64_t id, const std::string& routing_key = "k",
            verdict what = verdict::returned) {
    fail(make(id, routing_key), what);
  }
  void succeed(std::int64_t id, const std::string& routing_key = "k") {
    row& r = make(id, routing_key);
    d.succeeded(r);
    d.leave(r);
  }

  void hold_one(const std::string& routing_key = "k") {
    for (const std::int64_t id : {1, 2, 3}) fail(id, routing_key);
    ASSERT_NE(hold_of(exchange, routing_key), nullptr);
  }
  // Routing keys k<from>, k<from + 1>, …
  void hold_some(int count, int from = 0) {
    for (int i = from; i < from + count; ++i) {
      for (const std::int64_t id : {1, 2, 3})
        fail(std::int64_t{10} * i + id, "k" + std::to_string(i));
    }
  }

  hold* hold_of(const std::string& to_exchange, const std::string& routing_key) {
    outbox::message m;
    m.exchange = to_exchange;
    m.routing_key = routing_key;
    return d.hold_of(m);
  }

  std::vector<row*> probes(time_point at) {
    now = at;
    return d.take_probes(now);
  }
  // When the next probe is due for which a row waits; far away if there is none.
  time_point at_probe() const { return d.next_probe().value_or(now + 1'000h); }

  std::string exchange = "e";
  time_point now{1h};
  // Luck 0: half of the back-off, 500 ms, 1 s, 2 s, …
  destinations d{max_in_flight, {1'000ms, 60'000ms}, waiting_at_most, [] { return 0.0; }};

 private:
  std::deque<row> rows_;
};

}  // namespace outboxd::relay
