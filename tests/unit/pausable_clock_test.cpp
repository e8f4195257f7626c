#include "relay/amqp/pausable_clock.hpp"

#include <gtest/gtest.h>

namespace outboxd::relay::amqp {
namespace {

using namespace std::chrono_literals;
using time_point = pausable_clock::time_point;

TEST(pausable_clock, stands_still_while_it_is_paused) {
  pausable_clock clock;
  EXPECT_EQ(clock.at(time_point(10s)), time_point(10s));
  clock.pause(time_point(10s));
  EXPECT_EQ(clock.at(time_point(25s)), time_point(10s));
  EXPECT_EQ(clock.resume(time_point(30s)), 20s);
  EXPECT_EQ(clock.at(time_point(31s)), time_point(11s));
}

TEST(pausable_clock, adds_up_its_pauses) {
  pausable_clock clock;
  clock.pause(time_point(1s));
  clock.resume(time_point(2s));
  clock.pause(time_point(3s));
  clock.resume(time_point(5s));
  EXPECT_EQ(clock.at(time_point(10s)), time_point(7s));
}

TEST(pausable_clock, a_second_pause_or_resume_changes_nothing) {
  pausable_clock clock;
  clock.pause(time_point(1s));
  clock.pause(time_point(2s));
  EXPECT_EQ(clock.resume(time_point(3s)), 2s);
  EXPECT_EQ(clock.resume(time_point(4s)), 0s);
  EXPECT_EQ(clock.at(time_point(4s)), time_point(2s));
}

}  // namespace
}  // namespace outboxd::relay::amqp
