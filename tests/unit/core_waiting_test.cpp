// What waits, for its destination or for an operator, costs little while it waits and stops nobody
// else.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::SizeIs;

outbox::message to(std::string routing_key, outbox::message m) {
  m.routing_key = std::move(routing_key);
  return m;
}

class core_waiting : public core_test {
 protected:
  // Three rows to each destination fail: they are held. Their ids are 1, 2, 3, ...
  void hold(const std::vector<std::string>& routing_keys,
            std::vector<outbox::message> others = {}) {
    std::vector<outbox::message> rows;
    std::int64_t id = 0;
    for (const std::string& name : routing_keys)
      for (int i = 0; i < 3; ++i) rows.push_back(to(name, message(++id)));
    const auto failing = id;
    read(std::move(rows));
    ASSERT_THAT(published(), SizeIs(failing));
    core_.lane_blocked(0, true);
    core_.notified(now_);
    poll();
    if (!others.empty()) read(std::move(others));
    for (id = 1; id <= failing; ++id) lands(id, verdict::returned, doubt::none, 312);
    ASSERT_EQ(core_.held_destinations(), routing_keys.size());
    core_.lane_blocked(0, false);
    poll();
    write_decisions();
  }

  void write_decisions() {
    while (const auto d = take<do_decide>()) {
      outbox::decide_answer done;
      for (const outbox::decision& one : d->decisions) done.changed.push_back(one.ref);
      core_.decided(done, now_);
      poll();
    }
  }

  void start_with(const options& o) {
    core_ = core(
        o, 1, [] { return 0.5; }, 1);
    core_.lane_opened(0);
    core_.lane_opened(quarantine);
    lead();
  }

  // OUTBOX_ON_DEAD=block
  void start_with_a_key_behind_a_dead_row() {
    options o = small();
    o.block_on_dead = true;
    start_with(o);
    read({message(1, "k")});
    published();
    lands(1, verdict::refused, doubt::none, 406);
    write_decisions();
  }

  void answer_empty() { answer({}); }

  // Answers a read, if one is asked for: false if not. These are shown to a walk over skipped rows.
  bool answer(std::vector<outbox::message> below) {
    const auto asked = take<do_read>();
    if (!asked) return false;
    outbox::read_answer a = core_test::answer();
    a.snap = {.xmin = 100, .next_xid = 100};
    if (asked->request.below) {
      a.below = std::move(below);
      ++walks_;
    }
    a.below_to = asked->request.frontier;
    core_.read_answered(std::move(a), now_);
    poll();
    return true;
  }

  int walks_ = 0;
};

TEST_F(core_waiting, a_destination_whose_rows_all_wait_for_others_is_not_looked_into_for_ever) {
  options o = small();
  o.notify = false;
  start_with(o);
  hold({"a", "b"});
  core_.notified(now_);
  poll();
  // Two wait to be the probes of a; behind them, the only row of b waits for one of its key.
  const auto behind = [] {
    return std::vector{to("a", message(10)), to("a", message(11)), to("a", message(12, "k")),
                       to("b", message(13, "k"))};
  };
  read(behind());
  walks_ = 0;
  pass(10s);
  for (int i = 0; i < 100 && answer(behind()); ++i) {
  }
  EXPECT_GE(walks_, 1);
  EXPECT_LE(walks_, 3);
  const auto next = core_.next_poll();
  EXPECT_TRUE(!next || *next > now_);
}

TEST_F(core_waiting, rows_behind_one_that_waits_for_its_destination_leave_room_for_others) {
  options o = small();
  o.max_in_flight = 400;
  o.max_in_flight_bytes = 1u << 20;
  start_with(o);
  const std::vector<std::string> names{"a", "b", "c", "d", "e", "f", "g", "h"};
  std::vector<outbox::message> backlog;
  std::int64_t id = 1'000;
  for (const std::string& name : names)
    for (const char* const key : {"1", "2"})
      for (int i = 0; i < 100; ++i) backlog.push_back(to(name, message(++id, name + key)));
  hold(names, std::move(backlog));
  EXPECT_LT(core_.rows_in_memory(), core_.capacity() / 4);
}

TEST_F(core_waiting, every_destination_has_a_probe_however_many_are_held) {
  options o = small();
  o.max_in_flight = 600;
  o.max_in_flight_bytes = 1u << 20;
  start_with(o);
  auto three_to_each_of = [next = std::int64_t{0}](int exchanges) mutable {
    std::vector<outbox::message> rows;
    for (int i = 0; i < 3 * exchanges; ++i) {
      rows.push_back(message(++next));
      rows.back().exchange = std::to_string(i / 3);
    }
    return rows;
  };
  read(three_to_each_of(200));
  ASSERT_THAT(published(), SizeIs(600));
  for (std::int64_t id = 1; id <= 600; ++id) lands(id, verdict::returned, doubt::none, 312);
  ASSERT_EQ(core_.held_destinations(), 200u);
  write_decisions();
  core_.notified(now_);
  poll();
  read(three_to_each_of(200));
  pass(1s);
  const auto probes = take<do_load_bodies>();
  ASSERT_TRUE(probes);
  EXPECT_THAT(probes->rows, SizeIs(200));
}

TEST_F(core_waiting, it_does_not_spin_while_it_learns_what_operators_decided) {
  start_with_a_key_behind_a_dead_row();
  answer_empty();
  core_.notified(now_);
  poll();
  ASSERT_TRUE(take<do_load_failed>());
  answer_empty();
  core_.notified(now_);  // and again, before the answer
  poll();
  answer_empty();
  const auto next = core_.next_poll();
  EXPECT_TRUE(!next || *next > now_);
}

// Reading them takes half a minute.
TEST_F(core_waiting, so_many_dead_rows_that_reading_them_takes_long_are_read_rarely) {
  start_with_a_key_behind_a_dead_row();
  int asked = 0;
  const auto end = now_ + 10min;
  while (now_ < end) {
    pass(1s);
    core_.notified(now_);
    poll();
    answer_empty();
    if (!take<do_load_failed>()) continue;
    ++asked;
    pass(30s);
    outbox::failed_row dead;
    dead.ref.id = 1;
    dead.dead = true;
    dead.ordering_key = "k";
    core_.failed_loaded(std::vector{dead}, now_);
    poll();
  }
  EXPECT_LE(asked, 4);
}

}  // namespace
}  // namespace outboxd::relay
