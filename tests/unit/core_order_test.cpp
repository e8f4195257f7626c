// Order where several things happen at once: each of these was found by a seed of the simulation.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class core_order : public core_test {
 protected:
  void start_pipelined() {
    options o = small();
    o.pipelined = true;
    start_anew(o, 1);
  }
};

TEST_F(core_order, a_row_that_falls_due_goes_behind_an_earlier_one_that_appears_in_a_gap) {
  options o = small();
  o.max_in_flight = 1;
  o.batch_size = 1;
  start_anew(o, 1);  // three rows fit into memory
  read({message(1)});
  EXPECT_THAT(published(), ElementsAre(1));
  read({message(5)});
  core_.notified(now_);
  poll();
  read({message(2), message(3, "k")}, {message(4, "k")});
  lands(1, verdict::confirmed);
  ASSERT_THAT(published(), ElementsAre(2));
  lands(2, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(5));
}

TEST_F(core_order, a_connection_that_is_closed_by_force_says_nothing_against_a_row) {
  lead();
  read({message(1), message(2)});
  published();
  for (int i = 0; i < 3; ++i) {
    lands(1, verdict::unknown, doubt::connection_lost);
    EXPECT_THAT(published(), ElementsAre(1));
  }
  lands(2, verdict::confirmed);
  ASSERT_TRUE(take<do_settle>());
  core_.settled(outbox::settle_answer{1, {}}, now_);
  for (int i = 0; i < 2; ++i) {
    lands(1, verdict::unknown, doubt::connection_lost);
    EXPECT_THAT(published(), ElementsAre(1));
  }
  lands(1, verdict::unknown, doubt::connection_lost, 320);
  const auto d = take<do_decide>();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->decisions.at(0).what, outbox::fate::deferred);
}

TEST_F(core_order, a_pipelined_row_is_no_probe_while_earlier_ones_of_its_key_are_in_flight) {
  start_pipelined();
  hold("gone");
  core_.notified(now_);
  poll();
  read({to("here", message(10, "k")), to("gone", message(11, "k"))});
  EXPECT_THAT(published(), ElementsAre(10));
  pass(1'000ms);
  EXPECT_FALSE(take<do_load_bodies>()) << "of the next probe";
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(core_order, a_pipelined_row_in_doubt_stays_behind_one_that_went_back_to_the_table) {
  start_pipelined();
  read({to("silent", message(10, "k")), to("here", message(11, "k"))});
  EXPECT_THAT(published(), ElementsAre(10, 11));
  core_.lane_closed(0, doubt::timeout, now_);
  lands(10, verdict::unknown, doubt::timeout);
  core_.lane_opened(0);
  lands(11, verdict::unknown, doubt::timeout);
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(core_order, a_walk_brings_no_row_of_a_key_before_an_earlier_one_in_a_gap) {
  lead();
  read({message(1, "k")});
  ASSERT_THAT(published(), ElementsAre(1));
  lands(1, verdict::returned, doubt::none, 312);
  wake();
  read({message(40, "k")});  // behind row 1, and skipped
  ASSERT_EQ(decide().size(), 1u);
  pass(10s);
  outbox::message again = message(1, "k");
  again.attempts = 1;
  read({}, {again});
  ASSERT_THAT(published(), ElementsAre(1));
  lands(1, verdict::confirmed);  // the key is free: its rows are looked for

  // Others were committed late, among them row 38 of the key. The answer is full before it.
  const auto asked = take<do_read>();
  ASSERT_TRUE(asked && asked->request.below);
  outbox::read_answer full = answer();
  full.snap = {.xmin = 100, .next_xid = 100};
  for (std::size_t i = 0; i < asked->request.limit; ++i)
    full.rows.push_back(message(21 + static_cast<std::int64_t>(i)));
  ASSERT_LT(full.rows.back().ref.id, 38);
  full.below = {message(40, "k")};
  full.below_to = asked->request.frontier;
  core_.read_answered(std::move(full), now_);
  poll();
  EXPECT_THAT(published(), ElementsAre(21, 22, 23, 24, 25));

  const auto next = take<do_read>();
  ASSERT_TRUE(next && next->request.below) << "once more";
  outbox::read_answer rest = answer();
  rest.snap = {.xmin = 100, .next_xid = 100};
  rest.rows = {message(38, "k")};
  rest.below = {message(40, "k")};
  rest.below_to = next->request.frontier;
  core_.read_answered(std::move(rest), now_);
  poll();
  EXPECT_THAT(published(), ElementsAre(38));
  lands(38, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(40));
}

// It was read under an earlier lead; another leader has tried it since, and put it back.
TEST_F(core_order, a_row_that_cannot_take_its_place_among_the_pending_is_looked_for) {
  lead();
  read({message(1, "k"), message(9)});
  ASSERT_THAT(published(), ElementsAre(1, 9));
  lands(1, verdict::returned, doubt::none, 312);
  ASSERT_TRUE(take<do_decide>());
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  wake();
  read({}, {message(5, "k")});
  const auto d = take<do_decide>();
  ASSERT_TRUE(d && d->decisions.size() == 1);
  ASSERT_EQ(d->decisions[0].what, outbox::fate::pending);
  core_.decided(outbox::decide_answer{}, now_);
  wake();
  read({}, {message(1, "k")});
  ASSERT_THAT(published(), ElementsAre(1));
  lands(1, verdict::confirmed);
  wake();
  auto asked = take<do_read>();
  ASSERT_TRUE(asked && asked->request.below);
  EXPECT_THAT(asked->request.below->keys, ElementsAre("k"));
  EXPECT_EQ(asked->request.below->after, 4);
}

}  // namespace
}  // namespace outboxd::relay
