#include "base/backoff.hpp"

#include <gtest/gtest.h>

namespace outboxd::base {
namespace {

using namespace std::chrono_literals;

constexpr backoff b{500ms, 60s};

TEST(backoff, starts_at_the_minimum_and_doubles) {
  EXPECT_EQ(b.after(1, 0.999999).count(), 499);
  EXPECT_EQ(b.after(2, 0.999999).count(), 999);
  EXPECT_EQ(b.after(4, 0.999999).count(), 3'999);
}

TEST(backoff, is_spread_over_the_upper_half) {
  EXPECT_EQ(b.after(1, 0.0), 250ms);
  EXPECT_EQ(b.after(1, 0.5), 375ms);
}

TEST(backoff, never_exceeds_the_maximum_however_many_attempts) {
  EXPECT_LE(b.after(10, 0.999999), 60s);
  EXPECT_LE(b.after(2'000'000'000, 0.999999), 60s);
  EXPECT_GE(b.after(2'000'000'000, 0.0), 30s);
}

}  // namespace
}  // namespace outboxd::base
