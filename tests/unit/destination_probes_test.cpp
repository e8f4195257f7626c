// How a destination that is held is asked whether it works again.
#include <gmock/gmock.h>

#include "tests/unit/destinations_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(destinations_test, a_probe_goes_when_the_back_off_is_over_and_not_before) {
  hold_one();
  row& r = make(10);
  ASSERT_TRUE(d.wait(r));
  EXPECT_EQ(r.state, row_state::held);
  EXPECT_EQ(d.next_probe(), now + 500ms);
  EXPECT_THAT(probes(now + 499ms), IsEmpty());
  EXPECT_THAT(probes(now + 1ms), ElementsAre(&r));
  EXPECT_TRUE(r.probe);
  EXPECT_TRUE(d.holds().front().probing);
}

TEST_F(destinations_test, only_one_probe_is_out_at_a_time) {
  hold_one();
  ASSERT_TRUE(d.wait(make(10)));
  ASSERT_TRUE(d.wait(make(11)));
  EXPECT_EQ(probes(at_probe()).size(), 1u);
  EXPECT_EQ(d.next_probe(), std::nullopt);
  EXPECT_THAT(probes(now + 1h), IsEmpty());
}

TEST_F(destinations_test, a_probe_of_a_lead_that_is_over_is_none_any_more) {
  hold_one();
  row& r = make(10);
  ASSERT_TRUE(d.wait(r));
  ASSERT_THAT(probes(at_probe()), ElementsAre(&r));
  d.reset();
  d.pause_exchange(exchange, now);
  d.probe_lost(r, now);
  EXPECT_FALSE(r.probe) << "it would go although its exchange is paused";
}

TEST_F(destinations_test, the_next_probe_is_a_different_row_and_waits_twice_as_long) {
  hold_one();
  row& first = make(10);
  row& second = make(11);
  ASSERT_TRUE(d.wait(first));
  ASSERT_TRUE(d.wait(second));
  ASSERT_THAT(probes(at_probe()), ElementsAre(&first));
  EXPECT_TRUE(d.failed(first, verdict::nacked, "nacked", now));
  EXPECT_EQ(d.holds().front().reason, "nacked") << "the newest";
  EXPECT_EQ(d.holds().front().probes, 1);
  EXPECT_EQ(d.next_probe(), now + 1'000ms);
  EXPECT_THAT(probes(at_probe()), ElementsAre(&second));
}

TEST_F(destinations_test, the_back_off_of_a_destination_ends_at_ten_seconds) {
  hold_one();
  time_point last = now;
  for (int i = 0; i < 12; ++i) {
    row& r = make(10 + i);
    ASSERT_TRUE(d.wait(r));
    ASSERT_THAT(probes(at_probe()), ElementsAre(&r));
    EXPECT_LE(now - last, 10s);
    last = now;
    d.failed(r, verdict::returned, "no route", now);
    d.leave(r);
  }
  ASSERT_TRUE(d.wait(make(100)));
  EXPECT_EQ(d.next_probe(), now + 10s);
}

TEST_F(destinations_test, a_destination_that_does_not_answer_is_asked_more_and_more_rarely) {
  row& r = make(1);
  d.silent(r, "no confirm in time", now);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(d.wait(r));
    ASSERT_THAT(probes(at_probe()), ElementsAre(&r));
    d.probe_lost(r, now);
  }
  ASSERT_TRUE(d.wait(r));
  EXPECT_EQ(d.next_probe(), now + 30s) << "half of the longest back-off";
}

TEST_F(destinations_test, a_destination_that_does_not_answer_is_asked_with_the_same_row) {
  row& lowest = make(10);
  row& other = make(11);
  d.silent(lowest, "no confirm in time", now);
  ASSERT_EQ(d.held(), 1u) << "at once";
  ASSERT_TRUE(d.wait(other));
  ASSERT_TRUE(d.wait(lowest));
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(probes(at_probe()), ElementsAre(&lowest));
    d.probe_lost(lowest, now);
    EXPECT_FALSE(lowest.probe);
    ASSERT_TRUE(d.wait(lowest));
  }
}

TEST_F(destinations_test, one_that_answers_again_is_asked_with_different_rows) {
  row& lowest = make(10);
  row& other = make(11);
  d.silent(lowest, "no confirm in time", now);
  ASSERT_TRUE(d.wait(lowest));
  ASSERT_TRUE(d.wait(other));
  ASSERT_THAT(probes(at_probe()), ElementsAre(&lowest));
  d.failed(lowest, verdict::nacked, "nacked", now);
  EXPECT_FALSE(d.wait(lowest)) << "the others first";
  EXPECT_THAT(probes(at_probe()), ElementsAre(&other));
}

TEST_F(destinations_test, a_probe_of_which_nothing_is_known_counts_like_one_that_failed) {
  hold_one();
  row& r = make(10);
  ASSERT_TRUE(d.wait(r));
  ASSERT_THAT(probes(at_probe()), ElementsAre(&r));
  d.probe_lost(r, now);
  EXPECT_FALSE(r.probe);
  EXPECT_FALSE(d.holds().front().probing);
  EXPECT_EQ(d.hungry_at(), now + 1'000ms);
}

TEST_F(destinations_test, where_no_row_waits_one_is_to_be_read_when_the_probe_is_due) {
  hold_one();
  EXPECT_EQ(d.next_probe(), std::nullopt);
  EXPECT_EQ(d.hungry_at(), now + 500ms);
  ASSERT_TRUE(d.wait(make(10)));
  EXPECT_EQ(d.hungry_at(), std::nullopt);
}

TEST_F(destinations_test, no_hold_keeps_more_than_two_rows_in_memory) {
  hold_one();
  EXPECT_TRUE(d.wait(make(10)));
  EXPECT_TRUE(d.wait(make(11)));
  EXPECT_FALSE(d.may_wait(*hold_of("e", "k"), make(13).msg));
  row& third = make(12);
  EXPECT_FALSE(d.wait(third));
  EXPECT_NE(third.state, row_state::held);
}

TEST_F(destinations_test, a_row_that_leaves_waits_no_more) {
  hold_one();
  row& r = make(10);
  ASSERT_TRUE(d.wait(r));
  d.leave(r);
  EXPECT_EQ(d.next_probe(), std::nullopt);
  EXPECT_THAT(probes(now + 1h), IsEmpty());
}

TEST_F(destinations_test, rows_of_a_hold_that_wants_none_need_not_be_read) {
  hold_one();
  EXPECT_THAT(d.sated(now), ElementsAre(outbox::destination{"e", "k"}));
  EXPECT_THAT(d.sated(now + 500ms), IsEmpty()) << "its probe is due";
  ASSERT_TRUE(d.wait(make(10)));
  EXPECT_EQ(d.sated(now + 500ms).size(), 1u);
}

TEST_F(destinations_test, every_row_has_its_turn_as_a_probe) {
  hold_one();
  std::vector<std::int64_t> asked;
  for (int round = 0; round < 4; ++round) {
    now += 10s;
    d.round_begins();
    for (std::int64_t id = 10; id < 16; ++id) {
      row& r = make(id);
      destinations::seen(*hold_of("e", "k"));
      if (!d.wait(r)) d.leave(r);
    }
    d.round_ended(now);
    for (int i = 0; i < 2; ++i) {
      for (row* r : probes(now + 10s)) {
        asked.push_back(r->msg.ref.id);
        d.failed(*r, verdict::returned, "no route", now);
        d.leave(*r);
      }
    }
  }
  EXPECT_THAT(asked, ElementsAre(10, 11, 12, 13, 14, 15)) << "the fourth round finds no other";
  EXPECT_EQ(d.held(), 1u);
  EXPECT_TRUE(d.may_wait(*hold_of("e", "k"), make(10).msg)) << "and they are asked anew";
}

TEST_F(destinations_test, a_row_that_failed_for_itself_is_asked_when_no_other_is_left) {
  hold_one();
  row& failed = make(10);
  failed.msg.attempts = 3;
  EXPECT_FALSE(d.wait(failed));
  d.round_begins();
  destinations::seen(*hold_of("e", "k"));
  d.round_ended(now);
  EXPECT_TRUE(d.wait(failed));
}

TEST_F(destinations_test, a_hold_for_which_a_round_finds_no_row_is_over) {
  hold_one("a");
  hold_one("b");
  d.round_begins();
  destinations::seen(*hold_of("e", "b"));
  EXPECT_TRUE(d.round_ended(now));
  EXPECT_EQ(hold_of("e", "a"), nullptr);
  EXPECT_NE(hold_of("e", "b"), nullptr);
}

TEST_F(destinations_test, a_hold_that_began_during_a_round_is_not_over_with_it) {
  d.round_begins();
  hold_one();
  EXPECT_FALSE(d.round_ended(now));
  EXPECT_EQ(d.held(), 1u);
}

TEST_F(destinations_test, a_hold_whose_probe_is_out_is_not_over_with_the_round) {
  hold_one();
  row& r = make(10);
  ASSERT_TRUE(d.wait(r));
  d.round_begins();
  ASSERT_EQ(probes(at_probe()).size(), 1u);
  EXPECT_FALSE(d.round_ended(now));
  EXPECT_EQ(d.held(), 1u);
}

TEST_F(destinations_test, a_missing_exchange_of_which_no_row_is_left_is_over_with_the_round) {
  for (const std::int64_t id : {1, 2, 3}) fail(id, "k", verdict::no_exchange);
  ASSERT_EQ(d.held(), 1u);
  d.round_begins();
  EXPECT_TRUE(d.round_ended(now));
  EXPECT_EQ(hold_of("e", "k"), nullptr);
}

TEST_F(destinations_test, a_hold_whose_rows_were_left_out_of_the_round_is_not_over) {
  hold_one();
  d.round_begins();
  ASSERT_EQ(d.sated(now).size(), 1u);
  EXPECT_FALSE(d.round_ended(now));
}

}  // namespace
}  // namespace outboxd::relay
