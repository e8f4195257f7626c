#include "service/cli.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/settings_table.hpp"

namespace outboxd::service {
namespace {

using testing::HasSubstr;

template <typename T>
T parsed(std::vector<std::string> arguments) {
  return std::get<T>(parse_command_line(std::move(arguments)).what);
}

TEST(cli, run_is_the_default) {
  parsed<run_command>({});
  parsed<run_command>({"run"});
}

TEST(cli, migrate_goes_up_unless_told_otherwise) {
  using action = migrate_command::action;
  EXPECT_EQ(parsed<migrate_command>({"migrate"}).what, action::up);
  EXPECT_EQ(parsed<migrate_command>({"migrate", "up"}).what, action::up);
  EXPECT_EQ(parsed<migrate_command>({"migrate", "status"}).what, action::status);
  EXPECT_EQ(parsed<migrate_command>({"migrate", "print"}).what, action::print);
}

TEST(cli, migrate_print_takes_a_tool_and_versions) {
  const auto plain = parsed<migrate_command>({"migrate", "print"});
  EXPECT_EQ(plain.print.format, "sql");
  EXPECT_EQ(plain.print.roles, outbox::print_roles::with);
  const auto c =
      parsed<migrate_command>({"migrate", "print", "--format", "alembic", "--from", "2", "--to",
                               "3", "--after", "abc", "--directory", "d", "--no-roles"});
  EXPECT_EQ(c.print.format, "alembic");
  EXPECT_EQ(c.print.from, 2);
  EXPECT_EQ(c.print.to, 3);
  EXPECT_EQ(c.print.after, "abc");
  EXPECT_EQ(c.directory, "d");
  EXPECT_EQ(c.print.roles, outbox::print_roles::without);
  EXPECT_EQ(parsed<migrate_command>({"migrate", "print", "--only-roles"}).print.roles,
            outbox::print_roles::only);
  EXPECT_EQ(parsed<migrate_command>({"migrate", "print", "--number", "0007"}).print.number, "0007");
  for (const auto& line :
       std::vector<std::vector<std::string>>{{"migrate", "print", "--format", "xml"},
                                             {"migrate", "up", "--format", "sql"},
                                             {"migrate", "print", "--from", "0"},
                                             {"migrate", "print", "--no-roles", "--only-roles"}})
    EXPECT_EQ(parsed<answer_command>(line).code, exit_code::usage) << line.back();
}

TEST(cli, verbs_become_commands) {
  parsed<check_command>({"check"});
  EXPECT_EQ(parsed<config_command>({"config"}).reference, "");
  EXPECT_EQ(parsed<config_command>({"config", "--reference", "metrics"}).reference, "metrics");
  parsed<version_command>({"version"});
  parsed<version_command>({"-V"});
  parsed<version_command>({"--version"});
}

TEST(cli, healthcheck_asks_livez_within_two_seconds_unless_told_otherwise) {
  EXPECT_FALSE(parsed<healthcheck_command>({"healthcheck"}).ready);
  EXPECT_EQ(parsed<healthcheck_command>({"healthcheck"}).limit, std::chrono::seconds(2));
  const auto ready = parsed<healthcheck_command>({"healthcheck", "--ready", "--timeout", "300ms"});
  EXPECT_TRUE(ready.ready);
  EXPECT_EQ(ready.limit, std::chrono::milliseconds(300));
  EXPECT_EQ(parsed<answer_command>({"healthcheck", "--timeout", "3"}).code, exit_code::usage);
}

TEST(cli, the_output_format_may_stand_before_or_after_the_verb) {
  EXPECT_EQ(parse_command_line({"config"}).format, output_format::table);
  EXPECT_EQ(parse_command_line({"-o", "json", "config"}).format, output_format::json);
  EXPECT_EQ(parse_command_line({"config", "-o", "json"}).format, output_format::json);
}

TEST(cli, a_wrong_line_is_a_usage_error_that_points_to_help) {
  for (const auto& line : std::vector<std::vector<std::string>>{{"fly"},
                                                                {"--fast"},
                                                                {"migrate", "sideways"},
                                                                {"config", "-o", "xml"},
                                                                {"run", "check"}}) {
    const auto answer = parsed<answer_command>(line);
    EXPECT_EQ(answer.code, exit_code::usage) << line.front();
    EXPECT_THAT(answer.text, HasSubstr("outboxd --help")) << line.front();
  }
}

TEST(cli, status_looks_once_unless_told_to_watch) {
  EXPECT_FALSE(parsed<status_command>({"status"}).watch);
  const auto watch = parsed<status_command>({"status", "--watch", "--count", "3"});
  EXPECT_TRUE(watch.watch);
  EXPECT_EQ(watch.count, 3u);
  EXPECT_EQ(parsed<answer_command>({"status", "--count", "3"}).code, exit_code::usage);
}

TEST(cli, dead_lists_unless_told_otherwise_and_takes_filters) {
  using action = dead_command::action;
  EXPECT_EQ(parsed<dead_command>({"dead"}).what, action::list);
  const auto list = parsed<dead_command>(
      {"dead", "list", "--key", "k", "--since", "2h", "--limit", "7", "--reason", "nacked"});
  EXPECT_EQ(list.what, action::list);
  EXPECT_EQ(list.limit, 7u);
  EXPECT_EQ(list.which.ordering_key, "k");
  EXPECT_EQ(list.which.reason, "nacked");
  EXPECT_EQ(list.which.since->ago, std::chrono::hours(2));
  EXPECT_FALSE(list.which.exchange);
  const auto show = parsed<dead_command>({"dead", "show", "5"});
  EXPECT_EQ(show.what, action::show);
  EXPECT_EQ(show.which.id, 5);
  const auto discard = parsed<dead_command>({"dead", "discard", "--exchange", "", "--dry-run"});
  EXPECT_EQ(discard.what, action::discard);
  EXPECT_EQ(discard.which.exchange, "");
  EXPECT_TRUE(discard.dry_run);
}

// Everything, by a slip of the hand: no.
TEST(cli, dead_decides_about_all_rows_only_when_told_so) {
  for (const char* verb : {"retry", "discard"}) {
    EXPECT_EQ(parsed<answer_command>({"dead", verb}).code, exit_code::usage);
    parsed<dead_command>({"dead", verb, "--all"});
    parsed<dead_command>({"dead", verb, "--id", "1"});
  }
  EXPECT_EQ(parsed<answer_command>({"dead", "show"}).code, exit_code::usage);
  EXPECT_EQ(parsed<answer_command>({"dead", "list", "--since", "3"}).code, exit_code::usage);
}

TEST(cli, a_pause_is_of_everything_one_exchange_or_one_key) {
  using action = pause_command::action;
  EXPECT_EQ(parsed<pause_command>({"pause"}).scope, outbox::pause_scope{});
  EXPECT_EQ(parsed<pause_command>({"pause", "--exchange", ""}).scope.exchange, "");
  EXPECT_EQ(parsed<pause_command>({"pause", "--key", "k"}).scope.ordering_key, "k");
  EXPECT_EQ(parsed<answer_command>({"pause", "--key", "k", "--exchange", "x"}).code,
            exit_code::usage);
  const auto short_one = parsed<pause_command>({"pause", "--for", "1500ms", "--reason", "why not"});
  EXPECT_EQ(short_one.lasting, std::chrono::seconds(2));
  EXPECT_EQ(short_one.reason, "why not");
  EXPECT_EQ(parsed<answer_command>({"pause", "--for", "15"}).code, exit_code::usage);
  EXPECT_EQ(parsed<pause_command>({"pause", "--list"}).what, action::list);
  EXPECT_EQ(parsed<pause_command>({"resume", "--exchange", "x"}).what, action::resume);
  EXPECT_EQ(parsed<answer_command>({"resume", "--for", "1h"}).code, exit_code::usage);
}

TEST(cli, help_names_every_setting) {
  for (const auto* flag : {"-h", "--help"}) {
    const auto answer = parsed<answer_command>({flag});
    EXPECT_EQ(answer.code, exit_code::done);
    for (const auto& row : settings_table())
      EXPECT_THAT(answer.text, HasSubstr(std::string(row.name)));
  }
}

}  // namespace
}  // namespace outboxd::service
