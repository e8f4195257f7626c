// When a row is given up, what a dead one holds, and what is written of one that has to wait.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class core_decision : public core_test {
 protected:
  static outbox::message failed_before(outbox::message m, int attempts,
                                       std::chrono::microseconds for_) {
    m.attempts = attempts;
    m.failing_for = for_;
    return m;
  }

  outbox::fate fate_after(int attempts, std::chrono::microseconds failing_for,
                          std::chrono::milliseconds in_flight = 0ms) {
    options o = small();
    o.give_up_after = 1h;
    start_anew(o);
    read({}, {failed_before(message(1), attempts, failing_for)});
    EXPECT_THAT(published(), ElementsAre(1));
    now_ += in_flight;
    lands(1, verdict::returned);
    const auto made = decide();
    EXPECT_EQ(made.size(), 1u);
    return made.at(0).what;
  }

  void start_blocking() {
    options o = small();
    o.block_on_dead = true;
    start_anew(o);
  }
  // Answers what is asked about rows that have failed: these.
  void tell_failed(std::vector<outbox::failed_row> rows) {
    const auto asked = take<do_load_failed>();
    ASSERT_TRUE(asked);
    EXPECT_TRUE(asked->dead_too);
    core_.failed_loaded(std::move(rows), now_);
    poll();
  }
  // The one that is under way, if there is one, finds nothing.
  void answer_read() {
    if (!take<do_read>()) return;
    core_.read_answered(answer(), now_);
    poll();
  }
  static outbox::failed_row dead_row(std::int64_t id, const std::string& key) {
    outbox::failed_row f;
    f.ref.id = id;
    f.dead = true;
    f.ordering_key = key;
    return f;
  }
  // Row 1 of the key is dead, row 2 waits.
  void kill_the_first_of_two() {
    start_blocking();
    read({message(1, "k"), message(2, "k")});
    ASSERT_THAT(published(), ElementsAre(1));
    lands(1, verdict::invalid);
    ASSERT_EQ(decide().size(), 1u);
    EXPECT_THAT(published(), IsEmpty());
  }
};

TEST_F(core_decision, without_a_limit_no_row_is_given_up) {
  lead();
  read({}, {failed_before(message(1), 1'000, 24h * 365)});
  published();
  lands(1, verdict::nacked);
  EXPECT_EQ(decide().at(0).what, outbox::fate::deferred);
}

TEST_F(core_decision, a_row_is_given_up_at_the_tenth_attempt_and_not_before) {
  EXPECT_EQ(fate_after(8, 2h), outbox::fate::deferred);
  EXPECT_EQ(fate_after(9, 2h), outbox::fate::dead);
}

TEST_F(core_decision, a_row_is_given_up_only_after_its_time) {
  EXPECT_EQ(fate_after(20, 59min), outbox::fate::deferred);
  EXPECT_EQ(fate_after(20, 60min), outbox::fate::dead);
  EXPECT_EQ(fate_after(20, 59min, 60s), outbox::fate::dead) << "the time in memory counts";
}

TEST_F(core_decision, no_row_is_given_up_while_its_destination_is_held) {
  options o = small();
  o.give_up_after = 1s;
  start_anew(o);
  read({to("gone", message(1)), to("gone", message(2)), to("gone", message(3))},
       {failed_before(to("gone", message(4)), 50, 24h)});
  ASSERT_THAT(published(), testing::UnorderedElementsAre(1, 2, 3, 4));
  for (const std::int64_t id : {1, 2, 3, 4}) lands(id, verdict::returned, doubt::none, 312);
  for (const outbox::decision& d : decide()) EXPECT_NE(d.what, outbox::fate::dead);
}

TEST_F(core_decision, an_unknown_outcome_gives_nothing_up) {
  options o = small();
  o.give_up_after = 1s;
  start_anew(o);
  read({}, {failed_before(message(1), 50, 24h)});
  published();
  lands(1, verdict::unknown, doubt::connection_lost);
  EXPECT_FALSE(take<do_decide>());
}

TEST_F(core_decision, where_dead_rows_block_those_behind_it_wait_and_those_of_other_keys_do_not) {
  kill_the_first_of_two();
  EXPECT_EQ(core_.held_keys(), 1u);
  wake();
  read({message(3, "k"), message(4, "other"), message(5)});
  EXPECT_THAT(published(), ElementsAre(4, 5));
}

TEST_F(core_decision, a_dead_row_without_a_key_blocks_nothing) {
  start_blocking();
  read({message(1), message(2)});
  published();
  lands(1, verdict::invalid);
  decide();
  EXPECT_EQ(core_.held_keys(), 0u);
}

TEST_F(core_decision, those_behind_a_dead_row_go_when_an_operator_has_discarded_it) {
  kill_the_first_of_two();
  pass(5s);
  tell_failed({dead_row(1, "k")});
  EXPECT_EQ(core_.held_keys(), 1u) << "nobody has decided yet";
  pass(5s);
  tell_failed({});
  EXPECT_EQ(core_.held_keys(), 0u);
  answer_read();
  read_below({message(2, "k")});
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_decision, a_dead_row_that_is_tried_again_goes_before_those_behind_it) {
  kill_the_first_of_two();
  answer_read();
  core_.notified(now_);  // it is deferred now, due, and has no attempts
  poll();
  tell_failed({});
  read({}, {message(1, "k")});
  EXPECT_THAT(published(), ElementsAre(1));
  lands(1, verdict::confirmed);
  read_below({message(2, "k")});
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_decision, a_dead_row_that_is_tried_again_goes_before_one_that_is_read_with_it) {
  kill_the_first_of_two();
  answer_read();
  pass(5s);
  answer_read();
  tell_failed({});  // an operator has decided, and the key is free
  outbox::read_answer a = answer();
  a.due = {message(1, "k")};
  a.due[0].deferred = true;
  a.below = {message(2, "k")};
  a.below_to = 2;
  const auto asked = take<do_read>();
  ASSERT_TRUE(asked && asked->request.below);
  core_.read_answered(std::move(a), now_);
  poll();
  EXPECT_THAT(published(), ElementsAre(1));
  lands(1, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_decision, after_a_take_over_dead_rows_block_as_before) {
  start_blocking();
  epoch_ = 9;
  core_.lead_gained(epoch_, now_);
  poll();
  tell_failed({dead_row(1, "k")});
  answer_read();
  read({message(2, "k"), message(3)});
  EXPECT_THAT(published(), ElementsAre(3));
}

TEST_F(core_decision, rows_scheduled_too_far_away_are_dead_and_hold_nothing) {
  options o = small();
  o.max_delay = 1h;
  start_anew(o);
  const auto asked = take<do_read>();
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->request.max_delay, 1h);
  outbox::read_answer a = answer();
  a.rows = {message(1, "k")};
  a.too_late = {message(9, "k")};
  core_.read_answered(std::move(a), now_);
  poll();
  EXPECT_THAT(published(), ElementsAre(1));
  const auto made = decide();
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].ref.id, 9);
  EXPECT_EQ(made[0].what, outbox::fate::dead);
  EXPECT_EQ(made[0].last_error.find("delay_too_long: "), 0u);
}

TEST_F(core_decision, a_due_row_that_has_to_wait_becomes_pending_once) {
  lead();
  hold("gone");
  decide();
  const auto waits_behind = [](std::int64_t id) { return to("gone", message(id)); };
  wake();
  read({waits_behind(10), waits_behind(11)});  // as many as wait in memory
  wake();
  read({}, {waits_behind(4)});
  const auto d = take<do_decide>();
  ASSERT_TRUE(d);
  ASSERT_EQ(d->decisions.size(), 1u);
  EXPECT_EQ(d->decisions[0].ref.id, 4);
  EXPECT_EQ(d->decisions[0].what, outbox::fate::pending);
  wake();
  read({}, {waits_behind(4)});  // from before the decision
  core_.decided(outbox::decide_answer{{message(4).ref}, {}}, now_);
  poll();
  EXPECT_FALSE(take<do_decide>());
  wake();
  read({});
  EXPECT_FALSE(take<do_decide>());
}

TEST_F(core_decision, rows_of_its_key_wait_while_a_due_row_becomes_pending) {
  lead();
  hold("gone");
  decide();
  wake();
  read({to("gone", message(10)), to("gone", message(11))});
  wake();
  read({to("here", message(12, "k"))}, {to("gone", message(4, "k"))});
  EXPECT_THAT(published(), IsEmpty());
  ASSERT_TRUE(take<do_decide>());
  wake();
  read({to("here", message(13, "k")), to("here", message(14))});
  EXPECT_THAT(published(), ElementsAre(14));
}

TEST_F(core_decision, decisions_in_doubt_are_repeated_with_the_same_attempts) {
  lead();
  read({}, {failed_before(message(1, "k"), 3, 1min), to("else", message(2))});
  published();
  lands(1, verdict::returned, doubt::none, 312);
  const auto first = take<do_decide>();
  ASSERT_TRUE(first);
  core_.decided(base::failure{base::failure_kind::unavailable, "gone"}, now_);
  poll();
  EXPECT_FALSE(take<do_decide>()) << "no hot loop";
  pass(100ms);
  const auto again = take<do_decide>();
  ASSERT_TRUE(again);
  ASSERT_EQ(again->decisions.size(), 1u);
  EXPECT_EQ(again->decisions[0].ref, first->decisions[0].ref);
  EXPECT_EQ(again->decisions[0].attempts, 3);
  EXPECT_EQ(again->decisions[0].what, outbox::fate::deferred);
  EXPECT_EQ(again->decisions[0].last_error, first->decisions[0].last_error);
  EXPECT_EQ(again->epoch, first->epoch);
}

TEST_F(core_decision, a_decision_that_changed_nothing_has_the_row_read_again_before_its_key_goes) {
  lead();
  read({message(1, "k"), message(2, "k")});
  published();
  lands(1, verdict::returned, doubt::none, 312);
  ASSERT_TRUE(take<do_decide>());
  core_.decided(outbox::decide_answer{}, now_);
  poll();
  EXPECT_THAT(published(), IsEmpty());
  answer_read();
  read_below({message(2, "k")});  // somebody has settled row 1
  EXPECT_THAT(published(), ElementsAre(2));
}

}  // namespace
}  // namespace outboxd::relay
