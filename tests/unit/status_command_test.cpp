#include "service/status_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

namespace outboxd::service {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

status_look a_look() {
  return {true, "[+]lead ok: leading\nready\n",
          parse_metrics("# HELP x y\n"
                        "outbox_messages_confirmed_total 1500\n"
                        "outbox_messages_failed_total{reason=\"nacked\"} 0\n"
                        "outbox_messages_failed_total{reason=\"returned\"} 3\n"
                        "outbox_pending_messages 12\n"
                        "outbox_oldest_pending_age_seconds 1.25\n")};
}

TEST(status_command, samples_have_the_names_that_are_printed) {
  EXPECT_THAT(parse_metrics("# TYPE a counter\na 1\nb{c=\"d e\"} 2.5\n\nrubbish\n"),
              UnorderedElementsAre(Pair("a", 1), Pair("b{c=\"d e\"}", 2.5)));
}

TEST(status_command, a_table_has_the_checks_the_rows_and_what_failed) {
  const auto text = render(a_look(), {}, output_format::table);
  EXPECT_THAT(text, AllOf(HasSubstr("[+]lead ok: leading\n"), HasSubstr("pending       12\n"),
                          HasSubstr("oldest        1.2 s\n"), HasSubstr("confirmed     1500\n"),
                          HasSubstr("failed        returned 3\n"), Not(HasSubstr("nacked")),
                          Not(HasSubstr("/s"))));
}

TEST(status_command, a_second_look_has_rates) {
  const earlier_look before{{{"outbox_messages_confirmed_total", 1'000}}, std::chrono::seconds(2)};
  EXPECT_THAT(render(a_look(), before, output_format::table),
              HasSubstr("confirmed     1500, 250/s\n"));
  const auto json = boost::json::parse(render(a_look(), before, output_format::json));
  EXPECT_EQ(json.at("rates").at("confirmed_per_second"), 250.0);
  EXPECT_EQ(json.at("metrics").at("outbox_pending_messages"), 12.0);
  EXPECT_EQ(json.at("ready"), true);
}

TEST(status_command, another_process_in_its_place_is_no_negative_rate) {
  const earlier_look before{{{"outbox_messages_confirmed_total", 9'000}}, std::chrono::seconds(1)};
  EXPECT_THAT(render(a_look(), before, output_format::table),
              HasSubstr("confirmed     1500, 0/s\n"));
}

}  // namespace
}  // namespace outboxd::service
