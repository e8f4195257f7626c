// A core that leads, with one open lane, and the questions a test asks of it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "relay/core.hpp"

namespace outboxd::relay {

using namespace std::chrono_literals;

inline outbox::message message(std::int64_t id, std::optional<std::string> key = std::nullopt) {
  outbox::message m;
  m.ref.id = id;
  m.ordering_key = std::move(key);
  m.body = "{}";
  m.body_size = 2;
  m.body_loaded = true;
  return m;
}

inline outbox::message to(std::string routing_key, outbox::message m) {
  m.routing_key = std::move(routing_key);
  return m;
}

class core_test : public testing::Test {
 protected:
  core_test() { open_lanes(); }

  void open_lanes() {
    core_.lane_opened(0);
    core_.lane_opened(quarantine);
  }

  // Another core, that leads.
  void start_anew(const options& o, std::size_t least_capacity = 1'024) {
    todo_.clear();
    core_ = core(
        o, 1, [] { return 0.5; }, least_capacity);
    open_lanes();
    lead();
  }

  void lead(std::int64_t epoch = 7) {
    epoch_ = epoch;
    core_.lead_gained(epoch, now_);
    poll();
    ASSERT_TRUE(take<do_load_failed>());
    core_.failed_loaded(std::vector<outbox::failed_row>{}, now_);
    poll();
  }

  // What operators have paused is told whenever the core asks.
  void poll() {
    core_.poll(now_, todo_);
    while (take<do_load_pauses>()) {
      core_.pauses_loaded(pauses_, now_);
      core_.poll(now_, todo_);
    }
  }

  // An operator pauses or goes on, and the core has seen it.
  void pause(std::vector<outbox::pause_in_force> all) {
    pauses_ = std::move(all);
    pass(options{}.look_at_pauses);
  }
  static outbox::pause_in_force all_of(outbox::pause_scope scope) {
    return {.scope = std::move(scope), .reason = "", .by = "", .age = {}, .ends_in = std::nullopt};
  }

  template <typename Action>
  std::optional<Action> take() {
    for (auto it = todo_.begin(); it != todo_.end(); ++it) {
      if (auto* a = std::get_if<Action>(&*it)) {
        std::optional<Action> taken(std::move(*a));
        todo_.erase(it);
        return taken;
      }
    }
    return std::nullopt;
  }

  std::vector<std::int64_t> published() {
    std::vector<std::int64_t> ids;
    while (auto p = take<do_publish>()) ids.push_back(p->what->msg.ref.id);
    return ids;
  }

  // Of a read under our own lead, so far without rows.
  outbox::read_answer answer() const {
    outbox::read_answer a;
    a.epoch = epoch_;
    return a;
  }

  // Answers the read that is asked for.
  void read(std::vector<outbox::message> rows, std::vector<outbox::message> due = {}) {
    ASSERT_TRUE(take<do_read>()) << "no read was asked for";
    outbox::read_answer a;
    a.epoch = epoch_;
    a.snap = {.xmin = 100, .next_xid = 100};
    a.rows = std::move(rows);
    a.due = std::move(due);
    for (outbox::message& m : a.due) m.deferred = true;
    core_.read_answered(std::move(a), now_);
    poll();
  }

  // There is nothing to do: it has the wake lock, and waits.
  void go_idle() {
    read({});
    ASSERT_TRUE(take<do_try_wake_lock>());
    core_.wake_lock_answered(true, now_);
    poll();
    read({});
  }

  // Answers a read that walks over skipped rows: all of them.
  void read_below(std::vector<outbox::message> rows) {
    const auto asked = take<do_read>();
    ASSERT_TRUE(asked && asked->request.below) << "no walk was asked for";
    outbox::read_answer a;
    a.epoch = epoch_;
    a.snap = {.xmin = 100, .next_xid = 100};
    a.below = std::move(rows);
    a.below_to = asked->request.frontier;
    core_.read_answered(std::move(a), now_);
    poll();
  }

  // Answers the request for bodies: all of them, small ones.
  std::vector<std::int64_t> load() {
    std::vector<std::int64_t> ids;
    const auto asked = take<do_load_bodies>();
    if (!asked) return ids;
    std::vector<outbox::loaded_body> bodies;
    for (const outbox::row_ref& ref : asked->rows) {
      ids.push_back(ref.id);
      bodies.push_back({ref, "{}", std::nullopt});
    }
    core_.bodies_loaded(std::move(bodies), now_);
    poll();
    return ids;
  }

  // Answers decisions, and those that follow: all of them are made.
  std::vector<outbox::decision> decide() {
    std::vector<outbox::decision> made;
    while (const auto d = take<do_decide>()) {
      outbox::decide_answer answer;
      for (const outbox::decision& one : d->decisions) {
        made.push_back(one);
        answer.changed.push_back(one.ref);
      }
      core_.decided(std::move(answer), now_);
      poll();
    }
    return made;
  }

  // The first three rows of a table: their destination is held.
  void hold(const std::string& routing_key) {
    read({to(routing_key, message(1)), to(routing_key, message(2)), to(routing_key, message(3))});
    ASSERT_THAT(published(), testing::ElementsAre(1, 2, 3));
    for (const std::int64_t id : {1, 2, 3}) lands(id, verdict::returned, doubt::none, 312);
    ASSERT_EQ(core_.held_destinations(), 1u);
  }

  // Another read, although nothing says so.
  void wake() {
    core_.notified(now_);
    poll();
  }

  void lands(std::int64_t id, verdict what, doubt why = doubt::none, int code = 0) {
    core_.landed({.ref = message(id).ref, .what = what, .why = why, .code = code, .text = "text"},
                 now_);
    poll();
  }

  void pass(std::chrono::milliseconds d) {
    now_ += d;
    poll();
  }

  static options small() {
    options o;
    o.max_in_flight = 10;
    o.batch_size = 5;
    o.max_message_size = 1'000;
    o.max_in_flight_bytes = 500;
    return o;
  }

  static constexpr lane_id quarantine = 1;
  core core_{small(), 1, [] { return 0.5; }};
  time_point now_{1h};
  std::vector<action> todo_;
  std::vector<outbox::pause_in_force> pauses_;
  std::int64_t epoch_ = 7;
};

}  // namespace outboxd::relay
