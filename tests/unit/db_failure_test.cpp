#include "outbox/db_failure.hpp"

#include <gtest/gtest.h>

#include <string>

namespace outboxd::outbox {
namespace {

using base::failure_kind;

bool lost(std::string_view sqlstate) {
  const auto meaning = classify(sqlstate);
  return meaning.session_lost && meaning.kind == failure_kind::unavailable;
}

bool later(std::string_view sqlstate) {
  const auto meaning = classify(sqlstate);
  return !meaning.session_lost && meaning.kind == failure_kind::cancelled;
}

TEST(db_failure, a_server_that_goes_away_costs_the_session) {
  for (const auto code : {"08000", "08006", "57P01", "57P02", "57P03", "57P05", "25P03"}) {
    EXPECT_TRUE(lost(code)) << code;
  }
}

TEST(db_failure, a_read_only_server_is_left_for_another) {
  EXPECT_TRUE(lost("25006"));
}

TEST(db_failure, a_stale_prepared_statement_costs_the_session) {
  EXPECT_TRUE(lost("26000"));
  EXPECT_TRUE(lost("0A000"));
}

TEST(db_failure, what_may_work_later_keeps_the_session) {
  for (const auto code : {"57014", "55P03", "40001", "40P01", "53100", "53200", "53300"}) {
    EXPECT_TRUE(later(code)) << code;
  }
}

TEST(db_failure, a_missing_table_is_not_ready) {
  for (const auto code : {"3F000", "42P01", "42703", "42883"}) {
    EXPECT_EQ(classify(code).kind, failure_kind::not_ready) << code;
  }
}

TEST(db_failure, a_missing_grant_or_login_is_forbidden) {
  for (const auto code : {"42501", "28000", "28P01"}) {
    EXPECT_EQ(classify(code).kind, failure_kind::forbidden) << code;
  }
}

TEST(db_failure, everything_else_is_rejected_and_keeps_the_session) {
  for (const auto code : {"23505", "22003", "42601", "53400", ""}) {
    EXPECT_EQ(classify(code).kind, failure_kind::rejected) << code;
    EXPECT_FALSE(classify(code).session_lost) << code;
  }
}

TEST(db_failure, a_text_of_several_lines_becomes_one) {
  EXPECT_EQ(undecorated("FATAL:  no\n\tsuch  thing\n"), "FATAL: no such thing");
  EXPECT_EQ(undecorated("\n"), "");
}

}  // namespace
}  // namespace outboxd::outbox
