// Verbs for many rows: what the command line makes of them, and what they print to be typed again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/dead_command.hpp"
#include "service/purge_command.hpp"
#include "service/replay_command.hpp"

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

template <typename T>
T parsed(std::vector<std::string> arguments) {
  return std::get<T>(parse_command_line(std::move(arguments)).what);
}

exit_code refused(std::vector<std::string> arguments) {
  return parsed<answer_command>(std::move(arguments)).code;
}

TEST(cli_rows, replay_takes_times_filters_and_a_rate) {
  const auto c = parsed<replay_command>({"replay", "--since", "2h", "--until", "2026-11-21T10:00Z",
                                         "--exchange", "", "--routing-key", "r", "--key", "k",
                                         "--type", "t", "--id", "7", "--rate", "50", "--dry-run"});
  EXPECT_EQ(c.since->ago, 2h);
  EXPECT_EQ(c.until.at, "2026-11-21T10:00Z");
  EXPECT_EQ(c.which.exchange, "");
  EXPECT_EQ(c.which.routing_key, "r");
  EXPECT_EQ(c.which.ordering_key, "k");
  EXPECT_EQ(c.which.type, "t");
  EXPECT_EQ(c.which.id, 7);
  EXPECT_EQ(c.rate, 50u);
  EXPECT_TRUE(c.dry_run);
}

TEST(cli_rows, replay_is_moderate_and_ends_now_unless_told_otherwise) {
  const auto c = parsed<replay_command>({"replay", "--all"});
  EXPECT_EQ(c.rate, 1'000u);
  EXPECT_EQ(c.until.ago, 0s);
  EXPECT_EQ(c.until.at, "");
  EXPECT_FALSE(c.since);
  EXPECT_FALSE(c.dry_run);
}

// Everything, by a slip of the hand: no. The end alone says hardly anything.
TEST(cli_rows, replay_takes_all_rows_only_when_told_so) {
  EXPECT_EQ(refused({"replay"}), exit_code::usage);
  EXPECT_EQ(refused({"replay", "--until", "2h"}), exit_code::usage);
  EXPECT_THAT(parsed<answer_command>({"replay"}).text, HasSubstr("--all"));
}

TEST(cli_rows, a_time_that_could_mean_several_things_is_refused_with_the_forms) {
  for (const char* option : {"--since", "--until"}) {
    const auto answer = parsed<answer_command>({"replay", option, "2026-11-21T10:00"});
    EXPECT_EQ(answer.code, exit_code::usage);
    EXPECT_THAT(answer.text, HasSubstr("2026-11-21T10:00:00Z"));
  }
}

// What the sidecar keeps may be another time than this shell's settings say.
TEST(cli_rows, purge_wants_an_age) {
  for (const auto& line : {std::vector<std::string>{"purge"}, {"purge", "--dry-run"}}) {
    const auto answer = parsed<answer_command>(line);
    EXPECT_EQ(answer.code, exit_code::usage);
    EXPECT_THAT(answer.text, AllOf(HasSubstr("--sent-older-than"), HasSubstr("--dead-older-than")));
  }
}

TEST(cli_rows, purge_takes_dead_rows_and_those_with_a_key_only_when_told_so) {
  const auto sent = parsed<purge_command>({"purge", "--sent-older-than", "1h"});
  EXPECT_FALSE(sent.dead_older_than);
  EXPECT_FALSE(parsed<purge_command>({"purge", "--dead-older-than", "1h"}).with_keys);
  EXPECT_TRUE(parsed<purge_command>({"purge", "--dead-older-than", "1h", "--with-keys"}).with_keys);
  EXPECT_EQ(refused({"purge", "--sent-older-than", "1h", "--with-keys"}), exit_code::usage);
  const auto both = parsed<purge_command>(
      {"purge", "--sent-older-than", "1h", "--dead-older-than", "30d", "--dry-run"});
  EXPECT_EQ(both.sent_older_than, 1h);
  EXPECT_EQ(both.dead_older_than, 24h * 30);
  EXPECT_TRUE(both.dry_run);
  EXPECT_EQ(refused({"purge", "--sent-older-than", "3"}), exit_code::usage);
  EXPECT_EQ(refused({"purge", "--rate", "-1"}), exit_code::usage);
}

// What is printed when a signal comes is typed again by somebody.
TEST(cli_rows, the_line_to_go_on_with_means_the_same) {
  const std::vector<std::string> typed{"replay", "--since", "2h",     "--exchange", "it's $HOME",
                                       "--id",   "7",       "--rate", "0"};
  auto c = parsed<replay_command>(typed);
  c.since->at = "2026-11-21T08:00:00.000000Z";
  c.until.at = "2026-11-21T10:00:00.000000Z";
  EXPECT_EQ(as_typed(c),
            "outboxd replay --since 2026-11-21T08:00:00.000000Z --until 2026-11-21T10:00:00.000000Z"
            R"( --exchange 'it'\''s $HOME' --id 7 --rate 0)");
  EXPECT_EQ(as_typed(parsed<replay_command>({"replay", "--all", "--until", "1h"})),
            "outboxd replay --until 1h --all --rate 1000");
  EXPECT_EQ(as_typed(parsed<purge_command>({"purge", "--dead-older-than", "36h", "--rate", "5"})),
            "outboxd purge --dead-older-than 36h --rate 5");
  EXPECT_EQ(as_typed(parsed<purge_command>({"purge", "--dead-older-than", "36h", "--with-keys"})),
            "outboxd purge --dead-older-than 36h --with-keys --rate 10000");
  EXPECT_EQ(as_typed(parsed<dead_command>({"dead", "retry", "--all"})), "outboxd dead retry --all");
}

TEST(cli_rows, the_line_to_go_on_with_names_every_filter) {
  const std::vector<std::string> typed{
      "dead",   "discard", "--exchange", "",       "--routing-key", "r",  "--key", "k k",
      "--type", "t",       "--reason",   "nacked", "--since",       "2h", "--id",  "7"};
  auto c = parsed<dead_command>(typed);
  const std::string filters =
      "outboxd dead discard --exchange '' --routing-key 'r' --key 'k k' --type 't' --id 7"
      " --reason 'nacked' --since ";
  EXPECT_EQ(as_typed(c), filters + "2h");
  c.which.since->at = "2026-11-21T08:00:00.000000Z";
  EXPECT_EQ(as_typed(c), filters + "2026-11-21T08:00:00.000000Z");
  EXPECT_EQ(parsed<dead_command>({"dead", "retry", "--since", c.which.since->at}).which.since->at,
            c.which.since->at);
}

}  // namespace
}  // namespace outboxd::service
