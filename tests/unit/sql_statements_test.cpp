// Where a statement ends, and where a semicolon only seems to end one.
#include "outbox/sql_statements.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>

#include "outbox/migration_plan.hpp"

using outboxd::outbox::split_statements;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

TEST(sql_statements, end_with_a_semicolon_or_with_the_text) {
  EXPECT_THAT(split_statements("SELECT 1;\n  SELECT 2 ;SELECT 3"),
              ElementsAre("SELECT 1", "SELECT 2", "SELECT 3"));
  EXPECT_THAT(split_statements(" ;; \n"), IsEmpty());
}

TEST(sql_statements, do_not_end_in_a_string_or_a_name) {
  EXPECT_THAT(split_statements(R"(SELECT 'a;''b;', "x;y" FROM t; SELECT 2)"),
              ElementsAre(R"(SELECT 'a;''b;', "x;y" FROM t)", "SELECT 2"));
}

TEST(sql_statements, do_not_end_in_a_body_between_dollars) {
  EXPECT_THAT(split_statements("DO $$ BEGIN x; y; END $$;DO $b$ a; $$ b; $$ $b$; SELECT 3"),
              ElementsAre("DO $$ BEGIN x; y; END $$", "DO $b$ a; $$ b; $$ $b$", "SELECT 3"));
}

TEST(sql_statements, take_a_dollar_in_a_name_or_a_parameter_for_what_it_is) {
  EXPECT_THAT(split_statements("SELECT a$b$c; SELECT $1; SELECT $2"),
              ElementsAre("SELECT a$b$c", "SELECT $1", "SELECT $2"));
}

TEST(sql_statements, keep_the_comments_above_them_in_which_nothing_ends) {
  EXPECT_THAT(split_statements("-- one; it's\nSELECT 1; /* two; */ SELECT 2;\n-- no more; of it\n"),
              ElementsAre("-- one; it's\nSELECT 1", "/* two; */ SELECT 2"));
}

// What this does not understand must not come into a migration.
TEST(sql_statements, of_our_migrations_are_of_the_kinds_that_are_understood) {
  for (const auto& m : outboxd::migrations::all()) {
    for (const auto sql : {m.up, m.down}) {
      EXPECT_EQ(sql.find("BEGIN ATOMIC"), std::string_view::npos) << m.version;
      EXPECT_EQ(sql.find(" E'"), std::string_view::npos) << m.version;
    }
    for (const auto statement : split_statements(m.up)) {
      const auto first = statement.find("$$");
      EXPECT_TRUE(first == std::string_view::npos || statement.rfind("$$") > first) << statement;
    }
  }
}

}  // namespace
