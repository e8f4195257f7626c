// A nack may be the channel's, and not the destination's.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class core_renewal : public core_test {
 protected:
  // The first row of a table was nacked, and goes again over the quarantine.
  void nack_one_and_ask_again() {
    lead();
    read({message(1)});
    ASSERT_THAT(published(), ElementsAre(1));
    lands(1, verdict::nacked);
    ASSERT_EQ(decide().size(), 1u);
    pass(10s);
    outbox::message again = message(1);
    again.attempts = 1;
    read({}, {again});
    const auto p = take<do_publish>();
    ASSERT_TRUE(p);
    ASSERT_EQ(p->what->lane, quarantine);
  }
  // Row 2 is in flight on the lane that nacked, and row 3 is read.
  void take_it_while_another_is_in_flight() {
    nack_one_and_ask_again();
    wake();
    read({message(2)});
    ASSERT_THAT(published(), ElementsAre(2));
    lands(1, verdict::confirmed);
    wake();
    read({message(3)});
  }
  std::vector<lane_id> renewed() {
    std::vector<lane_id> lanes;
    while (const auto r = take<do_renew>()) lanes.push_back(r->lane);
    return lanes;
  }
};

TEST_F(core_renewal, what_asks_again_is_nacked_and_the_next_one_asks_over_a_new_channel) {
  nack_one_and_ask_again();
  EXPECT_THAT(renewed(), IsEmpty());
  lands(1, verdict::nacked);
  EXPECT_THAT(renewed(), ElementsAre(quarantine));
  wake();
  read({message(2)});
  EXPECT_THAT(published(), ElementsAre(2)) << "the lane goes on";
}

TEST_F(core_renewal, what_asked_again_is_taken_and_the_lane_that_nacked_it_is_opened_anew) {
  nack_one_and_ask_again();
  lands(1, verdict::confirmed);
  EXPECT_THAT(renewed(), ElementsAre(0));
  wake();
  read({message(2)});
  EXPECT_THAT(published(), IsEmpty());
  core_.lane_opened(0);
  poll();
  EXPECT_THAT(published(), ElementsAre(2));
  lands(2, verdict::confirmed);
  EXPECT_THAT(renewed(), IsEmpty()) << "once";
}

TEST_F(core_renewal, what_is_in_flight_there_is_waited_for_and_nothing_follows_it) {
  take_it_while_another_is_in_flight();
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_THAT(renewed(), IsEmpty());
  lands(2, verdict::confirmed);
  EXPECT_THAT(renewed(), ElementsAre(0));
  core_.lane_opened(0);
  poll();
  EXPECT_THAT(published(), ElementsAre(3));
}

TEST_F(core_renewal,
       what_in_flight_there_is_not_answered_holds_up_the_others_for_a_second_at_most) {
  take_it_while_another_is_in_flight();
  ASSERT_TRUE(core_.next_poll());
  EXPECT_LE(*core_.next_poll(), now_ + renewals::patience);
  pass(renewals::patience - 1ms);
  EXPECT_THAT(published(), IsEmpty());
  pass(1ms);
  EXPECT_THAT(published(), ElementsAre(3));
  EXPECT_THAT(renewed(), IsEmpty());
}

TEST_F(core_renewal, what_is_returned_says_nothing_about_a_channel) {
  nack_one_and_ask_again();
  lands(1, verdict::returned, doubt::none, 312);
  EXPECT_THAT(renewed(), IsEmpty());
}

TEST_F(core_renewal, who_drains_or_leads_no_more_opens_nothing) {
  nack_one_and_ask_again();
  core_.drain();
  lands(1, verdict::nacked);
  EXPECT_THAT(renewed(), IsEmpty());
}

}  // namespace
}  // namespace outboxd::relay
