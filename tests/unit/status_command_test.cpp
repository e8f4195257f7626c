#include "service/status_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include "service/status_json.hpp"

namespace outboxd::service {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

process_view a_leader() {
  process_view view;
  view.instance = "orders-1";
  view.relay.lead = outbox::lead_state::leading;
  view.relay.lanes = {{true, false, ""}};
  view.relay.backlog.emplace();
  view.relay.pauses = {{{"events", {}}, "f\xfcr heute", "ann", std::chrono::seconds(4), {}}};
  view.relay.holds = {{"", "q", "nacked\n[+]forged ok", std::chrono::seconds(9), {}, 3}};
  return view;
}

// As /status.json of such a process says it.
status_look a_look(const process_view& view = a_leader()) {
  return read_status(
             status_json(view, parse_metrics("# HELP x y\n"
                                             "outbox_messages_confirmed_total 1500\n"
                                             "outbox_messages_failed_total{reason=\"nacked\"} 0\n"
                                             "outbox_messages_failed_total{reason=\"returned\"} 3\n"
                                             "outbox_pending_messages 12\n"
                                             "outbox_dead_messages 17\n"
                                             "outbox_held_keys 7\n"
                                             "outbox_oldest_pending_age_seconds 1.25\n")))
      .value();
}

boost::json::value as_json(const std::optional<earlier_look>& before = {}) {
  return boost::json::parse(render(a_look(), before, output_format::json));
}

TEST(status_command, samples_have_the_names_that_are_printed) {
  EXPECT_THAT(parse_metrics("# TYPE a counter\na 1\nb{c=\"d e\"} 2.5\n\nrubbish\n"),
              UnorderedElementsAre(Pair("a", 1), Pair("b{c=\"d e\"}", 2.5)));
}

TEST(status_command, a_table_has_the_checks_the_rows_and_what_failed) {
  const auto text = render(a_look(), {}, output_format::table);
  EXPECT_THAT(text, AllOf(HasSubstr("[+]lead ok: leading\n"), HasSubstr("\nready\n"),
                          HasSubstr("pending       12\n"), HasSubstr("oldest        1.2 s\n"),
                          HasSubstr("confirmed     1500\n"),
                          HasSubstr("failed        returned 3\n"), Not(HasSubstr("/s"))));
  EXPECT_THAT(text, Not(HasSubstr("\n[+]forged"))) << "one check, one line";
  EXPECT_THAT(text, Not(HasSubstr("returned 3, nacked")));
}

TEST(status_command, dead_rows_have_their_reasons_also_those_of_an_earlier_process) {
  auto view = a_leader();
  view.relay.backlog->dead = 17;
  view.relay.backlog->dead_reasons = {{"nacked", 3}, {"too_large", 14}};
  const auto table = [&] { return render(a_look(view), {}, output_format::table); };
  EXPECT_THAT(table(), HasSubstr("dead          17: nacked 3, too_large 14\n"));
  const auto json =
      boost::json::parse(render(a_look(view), {}, output_format::json)).at("dead").as_object();
  EXPECT_EQ(json, (boost::json::object{{"rows", 17},
                                       {"newest_asked", 17},
                                       {"by_reason", {{"nacked", 3}, {"too_large", 14}}}}));
  view.relay.backlog->dead = 5'000;
  EXPECT_THAT(table(), HasSubstr("dead          17: of the newest 17 nacked 3, too_large 14\n"));
}

TEST(status_command, what_is_counted_since_the_start_says_so) {
  auto view = a_leader();
  view.uptime = std::chrono::seconds(90);
  EXPECT_THAT(render(a_look(view), {}, output_format::table),
              HasSubstr("\nsince the start, 90 s ago:\nconfirmed     1500\n"));
}

// Only the leader counts them, and says so once it has.
TEST(status_command, rows_that_nobody_counted_here_are_not_zero) {
  auto view = a_leader();
  view.relay.backlog.reset();
  const auto look = a_look(view);
  const auto text = render(look, {}, output_format::table);
  EXPECT_THAT(text, AllOf(HasSubstr("pending       –\n"), HasSubstr("deferred      –\n"),
                          HasSubstr("dead          –\n"), HasSubstr("held keys     7\n")));
  const auto now = boost::json::parse(render(look, {}, output_format::json));
  EXPECT_FALSE(now.at("metrics").as_object().contains("outbox_pending_messages"));
  EXPECT_TRUE(now.at("metrics").as_object().contains("outbox_held_keys"));
  EXPECT_TRUE(now.at("dead").is_null());
}

TEST(status_command, json_is_what_status_json_says) {
  const auto now = as_json();
  EXPECT_EQ(now.at("instance"), "orders-1");
  EXPECT_EQ(now.at("state"), "leading");
  EXPECT_EQ(now.at("ready"), true);
  EXPECT_EQ(now.at("checks").at(2).at("name"), "lead");
  EXPECT_EQ(now.at("checks").at(2).at("ok"), true);
  EXPECT_EQ(now.at("metrics").at("outbox_messages_failed_total{reason=\"returned\"}"), 3.0);
  const auto& hold = now.at("holds").at(0);
  EXPECT_EQ(hold.at("exchange"), "");
  EXPECT_EQ(hold.at("routing_key"), "q");
  EXPECT_EQ(hold.at("reason"), "nacked\n[+]forged ok");
  EXPECT_EQ(hold.at("held_seconds"), 9.0);
  EXPECT_EQ(hold.at("probes"), 3);
  EXPECT_TRUE(hold.at("next_probe_in_seconds").is_null());
  const auto& pause = now.at("pauses").at(0);
  EXPECT_EQ(pause.at("exchange"), "events");
  EXPECT_TRUE(pause.at("ordering_key").is_null());
  EXPECT_EQ(pause.at("reason"), "f?r heute");
  EXPECT_EQ(pause.at("by"), "ann");
  EXPECT_EQ(pause.at("paused_seconds"), 4.0);
  EXPECT_TRUE(pause.at("ends_in_seconds").is_null());
  EXPECT_EQ(now.at("more_pauses"), 0);
  EXPECT_FALSE(now.as_object().contains("rates"));
}

TEST(status_command, a_second_look_has_rates) {
  const earlier_look before{{{"outbox_messages_confirmed_total", 1'000}}, std::chrono::seconds(2)};
  EXPECT_THAT(render(a_look(), before, output_format::table),
              HasSubstr("confirmed     1500, 250/s\n"));
  EXPECT_EQ(as_json(before).at("rates").at("confirmed_per_second"), 250.0);
}

TEST(status_command, a_rate_is_over_the_time_between_two_answers) {
  const auto start = last_look::time_point() + std::chrono::hours(1);
  last_look last;
  EXPECT_FALSE(last.replace({{"a", 1}}, start));
  const auto before = last.replace({{"a", 5}}, start + std::chrono::seconds(3));
  ASSERT_TRUE(before);
  EXPECT_EQ(before->ago, std::chrono::seconds(3));
  EXPECT_EQ(before->metrics.at("a"), 1);
  last.forget();
  EXPECT_FALSE(last.replace({{"a", 9}}, start + std::chrono::seconds(9)))
      << "in between nobody answered";
}

TEST(status_command, another_process_in_its_place_is_no_negative_rate) {
  const earlier_look before{{{"outbox_messages_confirmed_total", 9'000}}, std::chrono::seconds(1)};
  EXPECT_THAT(render(a_look(), before, output_format::table),
              HasSubstr("confirmed     1500, 0/s\n"));
}

TEST(status_command, something_else_that_answers_there_is_said) {
  for (const char* text : {"", "<html>", "[]", "{}", R"({"ready":true,"checks":[1],"metrics":{}})",
                           R"({"ready":true,"checks":[],"metrics":{"a":"b"}})"}) {
    const auto look = read_status(text);
    ASSERT_FALSE(look) << text;
    EXPECT_THAT(look.error().text, HasSubstr("is no outboxd"));
  }
}

}  // namespace
}  // namespace outboxd::service
