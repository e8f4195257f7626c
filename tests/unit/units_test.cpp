#include "service/units.hpp"

#include <gtest/gtest.h>

namespace outboxd::service {
namespace {

using std::chrono::milliseconds;

TEST(units, a_duration_is_a_whole_number_and_a_unit) {
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("20s"), milliseconds(20'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("24h"), milliseconds(86'400'000));
  EXPECT_EQ(parse_duration("30d"), milliseconds(2'592'000'000));
  EXPECT_EQ(parse_duration("0s"), milliseconds(0));
}

TEST(units, only_zero_needs_no_unit) {
  EXPECT_EQ(parse_duration("0"), milliseconds(0));
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_FALSE(parse_duration("30"));
  EXPECT_FALSE(parse_size("16"));
  EXPECT_FALSE(parse_duration("00"));
}

TEST(units, anything_else_is_refused) {
  for (const auto* bad :
       {"", "s", "-5s", "+5s", "1.5s", "5 s", "5S", "5sec", "1h30m", " 5s", "5s ", "0x5s"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
  for (const auto* bad : {"", "MiB", "-1MiB", "1.5GiB", "16 MiB", "16mib", "16M", "16Mi"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(units, a_value_that_would_overflow_is_refused) {
  EXPECT_FALSE(parse_duration("106751991168d"));
  EXPECT_TRUE(parse_duration("106751991167d"));
  EXPECT_FALSE(parse_duration("99999999999999999999ms"));
  EXPECT_FALSE(parse_size("8589934592GiB"));
}

TEST(units, a_size_counts_by_1024_or_by_1000) {
  EXPECT_EQ(parse_size("512B"), 512u);
  EXPECT_EQ(parse_size("16MiB"), 16u << 20);
  EXPECT_EQ(parse_size("1GiB"), 1u << 30);
  EXPECT_EQ(parse_size("2kB"), 2'000u);
  EXPECT_EQ(parse_size("2MB"), 2'000'000u);
}

TEST(units, a_count_is_digits_only) {
  EXPECT_EQ(parse_count("2048"), 2048u);
  for (const auto* bad : {"", "-1", "+1", "1e3", "1 ", "18446744073709551616"})
    EXPECT_FALSE(parse_count(bad)) << bad;
}

TEST(units, what_is_printed_can_be_read_again) {
  EXPECT_EQ(format_duration(milliseconds(60'000)), "1m");
  EXPECT_EQ(format_duration(milliseconds(90'000)), "90s");
  EXPECT_EQ(format_duration(milliseconds(1'500)), "1500ms");
  EXPECT_EQ(format_duration(milliseconds(0)), "0s");
  EXPECT_EQ(format_size(64u << 20), "64MiB");
  EXPECT_EQ(format_size(1'000), "1000B");
  EXPECT_EQ(parse_duration(format_duration(milliseconds(86'400'000))), milliseconds(86'400'000));
}

}  // namespace
}  // namespace outboxd::service
