#include "service/point_in_time.hpp"

#include <gtest/gtest.h>

#include <string>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

TEST(point_in_time, a_duration_is_so_long_ago) {
  const auto when = parse_point_in_time("2h").value();
  EXPECT_EQ(when.ago, 2h);
  EXPECT_EQ(when.at, "");
}

TEST(point_in_time, a_time_is_taken_with_its_zone) {
  for (const std::string text :
       {"2026-11-21T10:00:00Z", "2026-11-21T10:00Z", "2026-11-21 10:00:00.123456Z",
        "2026-11-21T12:00:00+02:00", "2026-11-21T12:00:00+02", "2026-11-21T04:30:00-0530",
        "2024-02-29T00:00Z"}) {
    const auto when = parse_point_in_time(text);
    ASSERT_TRUE(when.has_value()) << text;
    EXPECT_EQ(when->at, text);
  }
}

TEST(point_in_time, what_could_mean_several_things_or_nothing_is_refused) {
  for (const std::string text :
       {"", "7", "yesterday", "2026-11-21", "2026-11-21T10:00:00", "2026-02-29T10:00Z",
        "2026-13-01T10:00Z", "2026-11-21T24:00Z", "2026-11-21T10:60Z",
        "2026-11-21T10:00:00.1234567Z", "2026-11-21T10:00+16:00", "2026-11-21T10:00Z; DROP TABLE x",
        " 2026-11-21T10:00Z", "0000-01-01T00:00Z"}) {
    EXPECT_FALSE(parse_point_in_time(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace outboxd::service
