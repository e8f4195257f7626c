#include "relay/purge_pace.hpp"

#include <gtest/gtest.h>

namespace outboxd::relay {
namespace {

using namespace std::chrono_literals;
using time_point = purge_pace::time_point;

constexpr auto statement = 5ms;

// Full batches for ten seconds, while so many rows a second are confirmed, so many at once; answers
// with how many are purged a second, once it is known how many come.
double purged_per_second(int confirmed_per_second, int at_once = 1) {
  purge_pace pace;
  const time_point start{1h};
  time_point now = start;
  pace.ended(0, now);
  double confirmed = 0;
  std::int64_t purged = 0;
  for (time_point next = start + 10ms; next < start + 12s;) {
    const double meanwhile = std::chrono::duration<double>(next + statement - now).count();
    for (confirmed += meanwhile * confirmed_per_second; confirmed >= at_once; confirmed -= at_once)
      for (int i = 0; i < at_once; ++i) pace.confirmed();
    pace.begin(next);
    now = next + statement;
    if (next >= start + 2s) purged += purge_pace::batch;
    next = pace.ended(purge_pace::batch, now);
  }
  return static_cast<double>(purged) / 10;
}

TEST(purge_pace, as_many_rows_go_as_come_and_some_more) {
  for (const int rate : {2'000, 5'000, 20'000, 50'000}) {
    EXPECT_GT(purged_per_second(rate), rate);
    EXPECT_LT(purged_per_second(rate), 1.4 * rate) << "no more than that: the marks want the lane";
  }
}

TEST(purge_pace, confirms_that_come_thousands_at_once_are_not_taken_for_idleness) {
  for (const int at_once : {500, 4'000}) {
    EXPECT_GT(purged_per_second(10'000, at_once), 10'000);
    EXPECT_LT(purged_per_second(10'000, at_once), 15'000);
  }
}

TEST(purge_pace, what_has_gathered_goes_when_little_is_confirmed) {
  EXPECT_GE(purged_per_second(10), 900);
  EXPECT_GT(purged_per_second(0), 30'000);
}

TEST(purge_pace, three_quarters_of_the_time_are_left_to_others_when_nothing_is_confirmed) {
  purge_pace pace;
  const time_point now{1h};
  pace.begin(now - 100ms);
  EXPECT_GE(pace.ended(purge_pace::batch, now), now + 300ms);
  pace.begin(now);
  EXPECT_LE(pace.ended(purge_pace::batch, now + 30s), now + 30s + purge_pace::longest_pause);
}

TEST(purge_pace, a_batch_that_is_not_full_was_the_last_for_a_while) {
  purge_pace pace;
  const time_point now{1h};
  pace.begin(now);
  EXPECT_EQ(pace.ended(purge_pace::batch - 1, now), now + purge_pace::when_none_is_old);
}

}  // namespace
}  // namespace outboxd::relay
