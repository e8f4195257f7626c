// Going idle, taking and losing the lead, draining.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(core_test, going_idle_it_takes_the_lock_reads_once_more_and_waits_for_a_notification) {
  lead();
  read({});
  ASSERT_TRUE(take<do_try_wake_lock>());
  core_.wake_lock_answered(true, now_);
  poll();
  read({});
  EXPECT_FALSE(take<do_read>());
  core_.notified(now_);
  poll();
  read({message(1)});
  EXPECT_TRUE(take<do_release_wake_lock>());
  EXPECT_THAT(published(), ElementsAre(1));
}

TEST_F(core_test, a_notification_that_overtakes_the_answer_to_a_read_is_heeded_after_it) {
  lead();
  read({});
  core_.wake_lock_answered(true, now_);
  poll();
  read({});
  pass(1s);
  core_.notified(now_);  // of a row that the read under way does not see
  read({});
  EXPECT_TRUE(take<do_read>());
}

TEST_F(core_test, a_read_from_before_the_wake_lock_was_got_does_not_count_as_the_one_after_it) {
  lead();
  read({});
  ASSERT_TRUE(take<do_try_wake_lock>());
  core_.notified(now_);
  poll();
  core_.wake_lock_answered(true, now_);
  read({});
  EXPECT_TRUE(take<do_read>());
}

TEST_F(core_test, the_wake_lock_is_not_asked_for_again_before_the_answer) {
  lead();
  read({});
  ASSERT_TRUE(take<do_try_wake_lock>());
  core_.notified(now_);
  poll();
  read({message(1)});
  pass(1ms);
  read({});
  EXPECT_FALSE(take<do_try_wake_lock>());
  core_.wake_lock_answered(true, now_);
  poll();
  read({});
  EXPECT_FALSE(take<do_release_wake_lock>()) << "the one answer serves";
}

TEST_F(core_test, it_does_not_spin_while_a_statement_is_repeated) {
  lead();
  read({message(1), message(2)});
  lands(1, verdict::confirmed);
  core_.settled(base::failure{base::failure_kind::unavailable, "gone"}, now_);
  pass(100ms);
  ASSERT_TRUE(take<do_settle>()) << "asked again, and the answer takes its time";
  lands(2, verdict::confirmed);
  EXPECT_TRUE(!core_.next_poll() || *core_.next_poll() > now_);
}

TEST_F(core_test, an_idle_core_wakes_by_itself_when_the_next_row_is_due) {
  lead();
  ASSERT_TRUE(take<do_read>());
  outbox::read_answer a = answer();
  a.next_due_in = 300ms;
  core_.read_answered(std::move(a), now_);
  poll();
  core_.wake_lock_answered(false, now_);
  pass(100ms);
  read({});
  core_.wake_lock_answered(true, now_);
  poll();
  read({});
  EXPECT_EQ(core_.next_poll(), now_ + 200ms);
}

TEST_F(core_test, without_the_lead_it_publishes_nothing_more_but_still_marks_what_was_confirmed) {
  lead();
  read({message(1), message(2, "k"), message(3, "k")});
  EXPECT_THAT(published(), ElementsAre(1, 2));
  core_.lead_lost();
  lands(2, verdict::confirmed);
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_TRUE(take<do_settle>());
  EXPECT_FALSE(take<do_read>());
}

TEST_F(core_test, without_the_lead_it_decides_nothing) {
  lead();
  read({message(1)});
  core_.lead_lost();
  lands(1, verdict::returned);
  EXPECT_FALSE(take<do_decide>());
  EXPECT_EQ(core_.rows_in_memory(), 0u);
}

TEST_F(core_test, what_another_leader_may_have_decided_about_is_not_published) {
  lead(7);
  ASSERT_TRUE(take<do_read>());
  outbox::read_answer a;
  a.epoch = 8;  // we have not been told yet
  a.rows.push_back(message(1));
  core_.read_answered(std::move(a), now_);
  poll();
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_FALSE(take<do_read>()) << "no hot loop until we are";
}

TEST_F(core_test, an_answer_from_before_the_lead_was_lost_is_not_believed) {
  lead();
  ASSERT_TRUE(take<do_read>());
  core_.lead_lost();
  core_.lead_gained(epoch_ = 8, now_);
  outbox::read_answer a;
  a.epoch = 8;
  a.rows.push_back(message(1));
  core_.read_answered(std::move(a), now_);
  poll();
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(core_test, a_deferral_told_after_the_lead_was_lost_holds_nothing_under_the_next_lead) {
  lead();
  read({message(1, "k")});
  published();
  lands(1, verdict::returned);
  ASSERT_TRUE(take<do_decide>());
  core_.lead_lost();
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  lead(9);  // another leader has sent the row meanwhile
  EXPECT_EQ(core_.held_keys(), 0u);
  read({message(2, "k")});
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_test, a_deferral_under_an_earlier_lead_told_under_the_next_holds_nothing_by_itself) {
  lead();
  read({message(1, "k")});
  published();
  lands(1, verdict::returned);
  ASSERT_TRUE(take<do_decide>());
  core_.lead_lost();
  lead(9);
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  core_.read_answered(answer(), now_);  // from before
  poll();
  ASSERT_TRUE(take<do_load_failed>()) << "what is held may have changed";
  core_.failed_loaded(std::vector<outbox::failed_row>{}, now_);
  poll();
  EXPECT_EQ(core_.held_keys(), 0u);
  todo_.clear();
  outbox::read_answer a = answer();
  a.rows = {message(2, "k")};
  core_.read_answered(std::move(a), now_);
  poll();
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_test, a_sweep_lets_go_of_a_key_whose_failed_row_somebody_else_has_settled) {
  lead();
  read({message(1, "k"), message(2, "k")});
  published();
  lands(1, verdict::returned);
  ASSERT_TRUE(take<do_decide>());
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  pass(1ms);
  read({});
  EXPECT_EQ(core_.held_keys(), 1u);
  core_.wake_lock_answered(true, now_);
  poll();
  read({});
  pass(6min);  // the acknowledgement that an earlier leader waited for has been written
  ASSERT_TRUE(take<do_load_failed>());
  core_.failed_loaded(std::vector<outbox::failed_row>{}, now_);
  poll();
  EXPECT_EQ(core_.held_keys(), 0u);
  read_below({});  // the look at everything that was under way
  read_below({message(2, "k")});
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_test, draining_it_reads_and_publishes_nothing_and_ends_when_the_last_mark_is_written) {
  lead();
  read({message(1), message(2, "k"), message(3, "k")});
  published();
  core_.drain();
  poll();
  EXPECT_FALSE(core_.drained());
  lands(1, verdict::confirmed);
  lands(2, verdict::confirmed);
  EXPECT_THAT(published(), IsEmpty()) << "the next of the key must not go out any more";
  EXPECT_FALSE(core_.drained());
  core_.settled(outbox::settle_answer{1, {}}, now_);
  poll();
  take<do_settle>();
  core_.settled(outbox::settle_answer{1, {}}, now_);
  EXPECT_TRUE(core_.drained());
}

TEST_F(core_test, the_oldest_age_counts_what_is_not_confirmed) {
  lead();
  auto m = message(1);
  m.age = 5s;
  read({m});
  now_ += 2s;
  EXPECT_EQ(core_.oldest_age(now_), 7s);
  lands(1, verdict::confirmed);
  EXPECT_EQ(core_.oldest_age(now_), std::nullopt);
}

}  // namespace
}  // namespace outboxd::relay
