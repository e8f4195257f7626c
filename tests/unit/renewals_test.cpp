// Which channels are opened anew, and when.
#include "relay/renewals.hpp"

#include <gtest/gtest.h>

namespace outboxd::relay {
namespace {

using namespace std::chrono_literals;

class renewals_test : public testing::Test {
 protected:
  static constexpr lane_id lane = 0, quarantine = 1;
  static constexpr bool apart = true;

  bool wanted(lane_id id) { return r.wanted(id, now); }

  renewals r{2};
  time_point now{1h};
};

TEST_F(renewals_test, a_nack_alone_asks_for_nothing) {
  r.nacked(lane, !apart, now);
  EXPECT_FALSE(r.any());
  EXPECT_FALSE(wanted(lane));
  EXPECT_FALSE(r.next());
}

TEST_F(renewals_test, a_channel_that_nacked_a_row_that_asked_again_is_wanted_at_once) {
  r.nacked(quarantine, apart, now);
  EXPECT_TRUE(r.any());
  EXPECT_TRUE(wanted(quarantine));
  EXPECT_FALSE(wanted(lane));
  r.begun(quarantine, now);
  EXPECT_FALSE(r.any());
}

TEST_F(renewals_test, when_such_a_row_is_taken_those_that_have_nacked_are_wanted) {
  r.confirmed_apart(now);
  EXPECT_FALSE(r.any());
  r.nacked(lane, !apart, now);
  r.confirmed_apart(now);
  EXPECT_TRUE(wanted(lane));
  EXPECT_FALSE(wanted(quarantine));
}

TEST_F(renewals_test, a_channel_that_was_opened_since_has_nacked_nothing) {
  r.nacked(lane, !apart, now);
  r.opened(lane);
  r.confirmed_apart(now);
  EXPECT_FALSE(r.any());
}

TEST_F(renewals_test, what_cannot_be_had_soon_is_given_up_and_wanted_again_at_the_next_occasion) {
  r.nacked(lane, !apart, now);
  r.confirmed_apart(now);
  EXPECT_EQ(r.next(), now + renewals::patience);
  now += renewals::patience - 1ms;
  EXPECT_TRUE(wanted(lane));
  now += 1ms;
  EXPECT_FALSE(wanted(lane));
  EXPECT_FALSE(r.next());
  r.confirmed_apart(now);
  EXPECT_TRUE(wanted(lane));
}

TEST_F(renewals_test, a_queue_that_nacks_again_and_again_costs_a_lane_a_channel_now_and_then_only) {
  r.nacked(lane, !apart, now);
  r.confirmed_apart(now);
  r.begun(lane, now);
  r.nacked(lane, !apart, now);
  now += renewals::between - 1ms;
  r.confirmed_apart(now);
  EXPECT_FALSE(wanted(lane));
  now += 1ms;
  r.confirmed_apart(now);
  EXPECT_TRUE(wanted(lane));
}

}  // namespace
}  // namespace outboxd::relay
