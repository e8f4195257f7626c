#include "service/exchange_lines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace outboxd::service {
namespace {

using outbox::exchange_in_use;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const exchange_answer missing{"lost", 404, "NOT_FOUND - no exchange 'lost' in vhost '/'"};
const exchange_answer forbidden{"theirs", 403, "ACCESS_REFUSED - access to exchange 'theirs'"};

std::string render(const std::vector<exchange_in_use>& used, const exchange_answers& answers) {
  return render_checks(exchange_lines(used, answers), output_format::table);
}

TEST(exchange_lines, the_default_exchange_is_not_asked_about) {
  EXPECT_THAT(names_to_ask_about({{"cards", true}, {"", true}, {"old", false}}),
              ElementsAre("cards", "old"));
}

TEST(exchange_lines, where_nobody_can_be_asked_about_one_line_says_so) {
  EXPECT_EQ(render({}, {}), "ok    exchanges: no row waits, and none was sent lately\n");
  EXPECT_EQ(render({{"", true}}, {}),
            "ok    exchanges: rows are for the default one only, which is always there\n");
}

TEST(exchange_lines, what_rows_wait_for_fails_with_what_to_do_and_comes_first) {
  EXPECT_EQ(
      render({{"cards", true}, {"lost", true}, {"theirs", true}},
             {{{"cards", 0, ""}, missing, forbidden}, ""}),
      "FAIL  exchange lost: 404 NOT_FOUND - no exchange 'lost' in vhost '/'; rows for it wait in "
      "the table: create it, or mend its name where it is written\n"
      "FAIL  exchange theirs: 403 ACCESS_REFUSED - access to exchange 'theirs'; rows for it wait "
      "in the table: give this user the permission `write` on it (rabbitmqctl "
      "set_permissions)\n"
      "ok    exchange cards: exists, and this user may publish to it\n");
}

TEST(exchange_lines, what_no_row_waits_for_is_a_warning) {
  const auto lines = exchange_lines({{"lost", false}}, {{missing}, ""});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].state, check_state::warn);
  EXPECT_THAT(lines[0].text, HasSubstr("no row waits for it, but some were sent: create it"));
  EXPECT_EQ(judge(lines), exit_code::done);
}

TEST(exchange_lines, the_exit_status_tells_a_missing_one_from_a_missing_permission) {
  const auto status_of = [](const exchange_answer& answer) {
    return judge(exchange_lines({{answer.name, true}}, {{answer}, ""}));
  };
  EXPECT_EQ(status_of(missing), exit_code::configuration);
  EXPECT_EQ(status_of(forbidden), exit_code::forbidden);
  EXPECT_EQ(status_of({"x", 541, "INTERNAL_ERROR"}), exit_code::unavailable);
}

TEST(exchange_lines, more_than_forty_are_counted_the_worst_are_shown) {
  std::vector<exchange_in_use> used;
  exchange_answers answers;
  for (int i = 0; i < 100; ++i) {
    const auto name = "tenant " + std::to_string(i);
    used.push_back({name, true});
    answers.given.push_back({name, i == 70 ? 404 : 0, "NOT_FOUND"});
  }
  auto lines = exchange_lines(used, answers);
  ASSERT_EQ(lines.size(), 41u);
  EXPECT_EQ(lines[0].what, "exchange tenant 70");
  EXPECT_EQ(lines[1].what, "exchange tenant 0");
  EXPECT_EQ(lines[40].what, "exchanges");
  EXPECT_EQ(lines[40].state, check_state::ok);
  EXPECT_EQ(lines[40].text, "60 more exist, and this user may publish to them");

  for (auto& answer : answers.given) answer.code = answer.name < "tenant 5" ? 404 : 0;
  const auto bad = std::ranges::count(answers.given, 404, &exchange_answer::code);
  ASSERT_GT(bad, 40);
  lines = exchange_lines(used, answers);
  EXPECT_EQ(lines[40].state, check_state::fail);
  EXPECT_EQ(lines[40].text,
            "60 more, " + std::to_string(bad - 40) + " of them missing or not to be used");
}

TEST(exchange_lines, what_was_not_answered_is_counted_with_the_reason) {
  EXPECT_THAT(
      render({{"a", true}, {"b", true}, {"c", false}}, {{{"a", 0, ""}}, "the time was over"}),
      testing::EndsWith("warn  exchanges: 2 not asked about: the time was over\n"));
}

TEST(exchange_lines, a_name_stays_on_its_line) {
  EXPECT_THAT(render({{"a\nb", true}}, {{{"a\nb", 0, ""}}, ""}),
              StartsWith("ok    exchange a b: "));
}

}  // namespace
}  // namespace outboxd::service
