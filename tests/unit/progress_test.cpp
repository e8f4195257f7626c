#include "service/progress.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

const progress::time_point start{};

progress_of replaying(std::optional<std::uint64_t> total) {
  return {"replay", "replayed", total};
}

TEST(progress, a_line_every_few_seconds_says_how_far_how_fast_and_how_long) {
  std::ostringstream out;
  progress p(out, progress_style::lines, replaying(50'000), start);
  p.add(1'000, start + 1s);
  p.add(3'000, start + 4s);
  EXPECT_EQ(out.str(), "");
  p.add(1'000, start + 5s);
  p.add(1'000, start + 6s);
  p.add(4'000, start + 10s);
  EXPECT_EQ(out.str(),
            "replayed 5000 of 50000 rows, 10 %, 1000/s, 45 s left\n"
            "replayed 10000 of 50000 rows, 20 %, 1000/s, 40 s left\n");
  p.clear();
  EXPECT_EQ(p.rows(), 10'000u);
}

TEST(progress, a_terminal_has_one_line_that_changes_and_goes) {
  std::ostringstream out;
  progress p(out, progress_style::terminal, replaying(100), start);
  p.add(1, start + 100ms);
  EXPECT_EQ(out.str(), "");
  p.add(9, start + 1s);
  p.add(40, start + 2s);
  p.clear();
  p.clear();
  EXPECT_EQ(out.str(),
            "\r\x1b[Kreplayed 10 of 100 rows, 10 %, 10/s, 9 s left"
            "\r\x1b[Kreplayed 50 of 100 rows, 50 %, 25/s, 2 s left"
            "\r\x1b[K");
}

TEST(progress, a_terminal_on_which_nothing_was_written_is_left_alone) {
  std::ostringstream out;
  progress p(out, progress_style::terminal, replaying(1), start);
  p.add(1, start + 10ms);
  p.clear();
  EXPECT_EQ(out.str(), "");
}

TEST(progress, without_a_total_there_is_no_end_to_foretell) {
  std::ostringstream out;
  progress p(out, progress_style::lines, {"replay", "counted", std::nullopt}, start);
  p.add(500, start + 5s);
  EXPECT_EQ(out.str(), "counted 500 rows, 100/s\n");
}

TEST(progress, nothing_done_yet_is_no_rate_to_go_by) {
  std::ostringstream out;
  progress p(out, progress_style::lines, replaying(10), start);
  p.add(0, start + 5s);
  EXPECT_EQ(out.str(), "replayed 0 of 10 rows, 0 %, 0/s\n");
}

TEST(progress, more_than_was_counted_is_no_more_than_all) {
  std::ostringstream out;
  progress p(out, progress_style::lines, replaying(10), start);
  p.add(15, start + 5s);
  EXPECT_EQ(out.str(), "replayed 15 of 10 rows, 100 %, 3/s\n");
}

TEST(progress, json_lines_say_the_same) {
  std::ostringstream out;
  progress p(out, progress_style::json, replaying(100), start);
  p.add(50, start + 5s);
  EXPECT_EQ(out.str(), R"({"action":"replay","rows":50,"total":100,"rows_per_second":10,)"
                       R"("remaining_seconds":5,"done":false})"
                       "\n");
}

TEST(progress, long_times_are_rough) {
  EXPECT_EQ(rough(0s), "0 s");
  EXPECT_EQ(rough(119s), "119 s");
  EXPECT_EQ(rough(150s), "2 min");
  EXPECT_EQ(rough(3h + 5min + 59s), "3 h 5 min");
}

}  // namespace
}  // namespace outboxd::service
