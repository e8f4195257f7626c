#include "outbox/wake.hpp"

#include <gtest/gtest.h>

namespace outboxd::outbox {
namespace {

using namespace std::chrono_literals;

wake notified() {
  return wake(true, 1s);
}

TEST(wake, a_full_batch_is_followed_by_the_next_read_at_once) {
  auto w = notified();
  EXPECT_EQ(w.read_done(1, true).read_after, 0ms);
}

TEST(wake, where_several_rows_come_more_may_gather) {
  wake w(true, 1s);
  EXPECT_EQ(w.read_done(3, false).read_after, 1ms);
  EXPECT_EQ(w.read_done(4, false).read_after, 5ms);
  EXPECT_EQ(w.read_done(4, true).read_after, 0ms);
}

TEST(wake, after_the_last_rows_a_few_may_gather_before_the_next_read) {
  auto w = notified();
  const auto a = w.read_done(1, false);
  EXPECT_GT(*a.read_after, 0ms);
  EXPECT_LE(*a.read_after, 5ms);
}

TEST(wake, an_empty_read_asks_for_the_lock) {
  auto w = notified();
  const auto a = w.read_done(0, false);
  EXPECT_TRUE(a.try_lock);
  EXPECT_FALSE(a.read_after);
}

TEST(wake, with_the_lock_it_reads_once_more_before_it_waits) {
  auto w = notified();
  w.read_done(0, false);
  EXPECT_EQ(w.lock_answered(true).read_after, 0ms);
  EXPECT_FALSE(w.idle());
  const auto a = w.read_done(0, false);
  EXPECT_EQ(a.read_after, 1s);
  EXPECT_FALSE(a.release_lock);
  EXPECT_TRUE(w.idle());
}

TEST(wake, a_row_found_by_that_read_gives_the_lock_back) {
  auto w = notified();
  w.read_done(0, false);
  w.lock_answered(true);
  EXPECT_TRUE(w.read_done(1, false).release_lock);
}

TEST(wake, an_idle_read_keeps_the_lock_unless_it_finds_work) {
  auto w = notified();
  w.read_done(0, false);
  w.lock_answered(true);
  w.read_done(0, false);
  EXPECT_FALSE(w.read_done(0, false).release_lock);
  EXPECT_TRUE(w.read_done(1, false).release_lock);
  EXPECT_FALSE(w.idle());
}

TEST(wake, refused_the_lock_it_polls_ever_more_slowly_up_to_a_tenth_of_a_second) {
  auto w = notified();
  std::vector<wake::duration> waits;
  for (int i = 0; i < 9; ++i) {
    w.read_done(0, false);
    waits.push_back(*w.lock_answered(false).read_after);
  }
  EXPECT_EQ(waits.front(), 2ms);
  EXPECT_EQ(waits[1], 4ms);
  EXPECT_EQ(waits.back(), 100ms);
}

TEST(wake, work_makes_it_patient_again) {
  auto w = notified();
  for (int i = 0; i < 5; ++i) {
    w.read_done(0, false);
    w.lock_answered(false);
  }
  w.read_done(1, false);
  w.read_done(0, false);
  EXPECT_EQ(w.lock_answered(false).read_after, 2ms);
}

TEST(wake, a_lock_that_comes_after_work_was_found_is_given_back_at_once) {
  auto w = notified();
  w.read_done(0, false);
  w.read_done(1, false);
  EXPECT_TRUE(w.lock_answered(true).release_lock);
}

TEST(wake, it_does_not_ask_again_while_a_question_is_out) {
  auto w = notified();
  EXPECT_TRUE(w.read_done(0, false).try_lock);
  w.read_done(1, false);
  EXPECT_FALSE(w.read_done(0, false).try_lock);
  EXPECT_EQ(w.lock_answered(true).read_after, 0ms) << "the first answer counts";
  w.read_done(1, false);
  EXPECT_TRUE(w.read_done(0, false).try_lock);
}

TEST(wake, polling_never_touches_the_lock) {
  wake w(false, 1s);
  const auto a = w.read_done(0, false);
  EXPECT_FALSE(a.try_lock);
  EXPECT_EQ(a.read_after, 1s);
}

}  // namespace
}  // namespace outboxd::outbox
