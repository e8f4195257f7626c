#include "outbox/lead_fsm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outboxd::outbox {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

std::string text_of(const lead_action& action) {
  struct visitor {
    std::string operator()(const lead_output::look_around&) { return "look around"; }
    std::string operator()(const lead_output::try_lead&) { return "try"; }
    std::string operator()(const lead_output::ping&) { return "ping"; }
    std::string operator()(const lead_output::abandon_session&) { return "abandon"; }
    std::string operator()(const lead_output::close_session&) { return "close"; }
    std::string operator()(const lead_output::report_state& r) {
      const std::string state(to_string(r.state));
      return "state " + state + (r.detail.empty() ? "" : ": " + r.detail);
    }
    std::string operator()(const lead_output::report_gained& r) {
      return "gained " + std::to_string(r.epoch);
    }
    std::string operator()(const lead_output::report_lost& r) { return "lost: " + r.reason; }
  };
  return std::visit(visitor{}, action);
}

class lead_fsm_test : public testing::Test {
 protected:
  std::vector<std::string> give(const lead_event& event) {
    std::vector<std::string> texts;
    for (const auto& action : fsm_.resume(event, now_)) texts.push_back(text_of(action));
    return texts;
  }

  std::vector<std::string> pass(std::chrono::milliseconds time) {
    now_ += time;
    return give(lead_input::time_passed{});
  }

  void lead() {
    give(lead_input::start{});
    give(lead_input::ready{});
    give(lead_input::gained{1});
  }

  std::chrono::milliseconds until_wake() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(fsm_.wake_at().value() - now_);
  }

  lead_fsm fsm_;
  lead_fsm::time_point now_{1h};
};

TEST_F(lead_fsm_test, looks_around_then_takes_the_free_lead) {
  EXPECT_THAT(give(lead_input::start{}), ElementsAre("state connecting", "look around"));
  EXPECT_THAT(give(lead_input::ready{}), ElementsAre("try"));
  EXPECT_THAT(give(lead_input::gained{7}), ElementsAre("state leading: epoch 7", "gained 7"));
  EXPECT_TRUE(fsm_.leading());
}

TEST_F(lead_fsm_test, a_stand_by_tries_twice_a_second_and_says_so_once) {
  give(lead_input::start{});
  give(lead_input::ready{});
  EXPECT_THAT(give(lead_input::refused{"user-svc-1"}),
              ElementsAre("state standby: led by user-svc-1"));
  EXPECT_EQ(until_wake(), 500ms);
  EXPECT_THAT(pass(499ms), IsEmpty());
  EXPECT_THAT(pass(1ms), ElementsAre("try"));
  EXPECT_THAT(give(lead_input::refused{"user-svc-1"}), IsEmpty());
  pass(500ms);
  EXPECT_THAT(give(lead_input::gained{2}), ElementsAre("state leading: epoch 2", "gained 2"));
}

TEST_F(lead_fsm_test, a_missing_schema_is_looked_for_again) {
  give(lead_input::start{});
  EXPECT_THAT(give(lead_input::not_ready{"run migrate"}),
              ElementsAre("state not_ready: run migrate"));
  EXPECT_THAT(pass(2s), ElementsAre("look around"));
  EXPECT_THAT(give(lead_input::not_ready{"run migrate"}), IsEmpty());
  pass(2s);
  EXPECT_THAT(give(lead_input::ready{}), ElementsAre("try"));
}

TEST_F(lead_fsm_test, connects_again_after_a_pause_for_as_long_as_it_takes) {
  give(lead_input::start{});
  EXPECT_THAT(give(lead_input::failed{"refused"}),
              ElementsAre("abandon", "state connecting: refused"));
  EXPECT_THAT(pass(200ms), ElementsAre("look around"));
  EXPECT_THAT(give(lead_input::failed{"refused"}), ElementsAre("abandon"));
  EXPECT_THAT(pass(200ms), ElementsAre("look around"));
}

TEST_F(lead_fsm_test, pings_every_two_seconds_one_at_a_time) {
  lead();
  EXPECT_THAT(pass(2s), ElementsAre("ping"));
  EXPECT_THAT(pass(2s), IsEmpty());
  EXPECT_THAT(give(lead_input::pong{}), IsEmpty());
  EXPECT_LE(fsm_.wake_at().value(), now_);  // it was slow: the next one goes out at once
  EXPECT_THAT(pass(0s), ElementsAre("ping"));
}

TEST_F(lead_fsm_test, gives_up_eight_seconds_after_the_last_answered_ping_was_sent) {
  lead();
  pass(2s);
  now_ += 1s;
  give(lead_input::pong{});  // sent at 2 s, answered at 3 s
  EXPECT_THAT(pass(1s), ElementsAre("ping"));
  EXPECT_EQ(until_wake(), 6s);
  EXPECT_THAT(pass(5999ms), IsEmpty());
  EXPECT_THAT(pass(1ms), ElementsAre("abandon", "lost: no answer from the database for 8 s",
                                     "state connecting: no answer from the database for 8 s"));
  EXPECT_FALSE(fsm_.leading());
}

TEST_F(lead_fsm_test, gives_up_before_the_server_does) {
  EXPECT_LT(lead_fsm::give_up_after, lead_fsm::server_gives_up_after);
}

TEST_F(lead_fsm_test, leads_for_certain_as_long_as_it_would_not_give_up) {
  EXPECT_FALSE(fsm_.leads_for_certain(now_));
  lead();
  EXPECT_TRUE(fsm_.leads_for_certain(now_ + lead_fsm::give_up_after - 1ms));
  EXPECT_FALSE(fsm_.leads_for_certain(now_ + lead_fsm::give_up_after));
}

TEST_F(lead_fsm_test, a_paused_leader_gives_up_when_it_wakes) {
  lead();
  EXPECT_THAT(pass(1h), ElementsAre("abandon", testing::StartsWith("lost"), testing::_));
}

TEST_F(lead_fsm_test, a_lost_session_is_a_lost_lead_told_once) {
  lead();
  EXPECT_THAT(give(lead_input::failed{"terminated"}),
              ElementsAre("abandon", "lost: terminated", "state connecting: terminated"));
  EXPECT_THAT(give(lead_input::failed{"terminated"}), IsEmpty());
  EXPECT_THAT(give(lead_input::pong{}), IsEmpty());
  EXPECT_THAT(pass(200ms), ElementsAre("look around"));
  EXPECT_THAT(give(lead_input::ready{}), ElementsAre("try"));
}

TEST_F(lead_fsm_test, a_try_that_failed_gives_up_the_session_and_with_it_the_lock) {
  give(lead_input::start{});
  give(lead_input::ready{});
  EXPECT_THAT(give(lead_input::failed{"lock timeout"}),
              ElementsAre("abandon", "state connecting: lock timeout"));
}

TEST_F(lead_fsm_test, stop_closes_the_session_and_nothing_follows) {
  lead();
  EXPECT_THAT(give(lead_input::stop{}), ElementsAre("close"));
  EXPECT_THAT(give(lead_input::stop{}), IsEmpty());
  EXPECT_THAT(give(lead_input::failed{"closed"}), IsEmpty());
  EXPECT_THAT(pass(1h), IsEmpty());
  EXPECT_THAT(give(lead_input::closed{}), ElementsAre("state stopped"));
  EXPECT_TRUE(fsm_.stopped());
}

TEST_F(lead_fsm_test, stop_before_start_is_final) {
  EXPECT_THAT(give(lead_input::stop{}), IsEmpty());
  EXPECT_TRUE(fsm_.stopped());
  EXPECT_THAT(give(lead_input::start{}), IsEmpty());
}

}  // namespace
}  // namespace outboxd::outbox
