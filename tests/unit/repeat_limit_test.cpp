#include "service/repeat_limit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/recording_log.hpp"

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

using testing::SizeIs;

class repeat_limit_test : public testing::Test {
 protected:
  void pass(std::chrono::milliseconds d) {
    now_ += d;
    limit_.tick();
  }
  std::vector<std::string> lines(std::string_view event) const { return out_.lines(event); }

  repeat_limit::clock::time_point now_{};
  tests::recording_log out_;
  repeat_limit limit_{out_, [this] { return now_; }};
};

TEST_F(repeat_limit_test, a_flood_is_one_line_in_ten_seconds_and_every_line_is_counted) {
  constexpr int rounds = 60, each = 1'000;
  for (int second = 0; second < rounds; ++second) {
    for (int i = 0; i < each; ++i) limit_.warn("row.failed", {{"id", i}, {"exchange", "e"}});
    pass(1s);
  }
  limit_.finish();
  const auto written = lines("row.failed");
  EXPECT_LE(written.size(), rounds / 10 + 2u);
  std::size_t counted = written.size();
  for (const auto& line : written) {
    if (const auto at = line.find("left_out="); at != std::string::npos)
      counted += std::stoul(line.substr(at + 9));
  }
  EXPECT_EQ(counted, static_cast<std::size_t>(rounds * each));
}

TEST_F(repeat_limit_test, the_last_of_a_burst_follows_when_the_time_is_over) {
  limit_.warn("row.failed", {{"id", 1}});
  limit_.warn("row.failed", {{"id", 2}});
  limit_.warn("row.failed", {{"id", 3}});
  pass(9s);
  EXPECT_THAT(lines("row.failed"), ElementsAre("row.failed id=1"));
  pass(1s);
  EXPECT_THAT(lines("row.failed"), ElementsAre("row.failed id=1", "row.failed id=3 left_out=1"));
  limit_.warn("row.failed", {{"id", 4}});
  EXPECT_THAT(lines("row.failed"), SizeIs(2)) << "what followed counts like any line";
  pass(1min);
  EXPECT_THAT(lines("row.failed"), SizeIs(3));
  pass(1min);
  EXPECT_THAT(lines("row.failed"), SizeIs(3));
}

TEST_F(repeat_limit_test, what_a_line_is_about_is_told_apart) {
  limit_.warn("row.failed", {{"exchange", "a"}, {"reason", "returned"}});
  limit_.warn("row.failed", {{"exchange", "b"}, {"reason", "returned"}});
  limit_.warn("row.failed", {{"exchange", "b"}, {"reason", "nacked"}});
  limit_.warn("row.failed", {{"exchange", "b"}, {"reason", "nacked"}});
  limit_.warn("row.dead", {{"exchange", "a"}});
  EXPECT_THAT(lines("row.failed"), SizeIs(3));
  EXPECT_THAT(lines("row.dead"), SizeIs(1));
  for (const char* node : {"rabbit-1", "rabbit-2", "rabbit-1"})
    limit_.warn("amqp.connect_failed", {{"lane", 0}, {"node", node}});
  EXPECT_THAT(lines("amqp.connect_failed"), SizeIs(2));
  for (const char* exchange : {"a", "b"})
    limit_.warn("amqp.exchange_missing", {{"lane", 0}, {"exchange", exchange}, {"code", 404}});
  EXPECT_THAT(lines("amqp.exchange_missing"), SizeIs(2));
}

TEST_F(repeat_limit_test, ten_thousand_destinations_are_no_flood_either) {
  for (int i = 0; i < 10'000; ++i)
    limit_.warn("row.failed", {{"exchange", "e" + std::to_string(i)}});
  EXPECT_LE(lines("row.failed").size(), 40u);
}

TEST_F(repeat_limit_test, a_recovery_comes_after_what_was_left_out) {
  limit_.warn("database.failed", {{"error", "a"}});
  limit_.warn("database.failed", {{"error", "b"}});
  limit_.warn("row.failed", {});
  limit_.warn("row.failed", {});
  limit_.info("database.recovered");
  EXPECT_EQ(out_.text(),
            "database.failed error=a\nrow.failed\ndatabase.failed error=b\ndatabase.recovered\n");
}

TEST_F(repeat_limit_test, of_a_flapping_part_the_last_line_is_the_truth) {
  for (int i = 0; i < 5; ++i) {
    limit_.warn("database.failed");
    limit_.info("database.recovered");
  }
  limit_.warn("database.failed");
  pass(10s);
  EXPECT_TRUE(out_.text().ends_with("database.recovered left_out=3\ndatabase.failed left_out=4\n"))
      << out_.text();
}

TEST_F(repeat_limit_test, nothing_is_kept_when_the_process_ends) {
  limit_.warn("row.dead", {{"id", 1}});
  limit_.warn("row.dead", {{"id", 2}});
  limit_.finish();
  EXPECT_THAT(lines("row.dead"), SizeIs(2));
}

TEST_F(repeat_limit_test, debug_lines_pass) {
  for (int i = 0; i < 3; ++i) limit_.debug("row.seen");
  EXPECT_THAT(lines("row.seen"), SizeIs(3));
}

}  // namespace
}  // namespace outboxd::service
