#include "service/silence.hpp"

#include <gtest/gtest.h>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

class silence_test : public testing::Test {
 protected:
  silence::clock::duration look_after(silence::clock::duration d, std::uint64_t moves) {
    now_ += d;
    return subject_.look(now_, moves);
  }

  silence::clock::time_point now_{};
  silence subject_{1s};
};

TEST_F(silence_test, it_grows_while_nothing_moves_and_ends_with_the_first_move) {
  EXPECT_EQ(look_after(0s, 7), 0s);
  EXPECT_EQ(look_after(1s, 7), 1s);
  EXPECT_EQ(look_after(1s, 7), 2s);
  EXPECT_EQ(look_after(1s, 8), 0s);
  EXPECT_EQ(look_after(1s, 8), 1s);
}

TEST_F(silence_test, what_moves_seldom_but_moves_is_never_silent_for_long) {
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_LE(look_after(1s, i / 2), 1s);
}

// After SIGCONT the looker may run before what it watches.
TEST_F(silence_test, time_in_which_nobody_looked_does_not_count) {
  look_after(0s, 1);
  EXPECT_EQ(look_after(1h, 1), 2s);
  EXPECT_EQ(look_after(1s, 1), 3s);
  EXPECT_EQ(look_after(1s, 2), 0s);
}

}  // namespace
}  // namespace outboxd::service
