#include "outbox/pg_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

using outbox::check_state;
using testing::HasSubstr;

std::vector<outbox::check_line> check(const std::string& url) {
  outbox::check_options options;
  options.url = url;
  return outbox::check_database(options);
}

TEST(check_database, is_content_with_a_migrated_database) {
  outbox_database db;
  const auto lines = check(db.url());
  ASSERT_EQ(lines.size(), 3u);
  for (const auto& line : lines) EXPECT_EQ(line.state, check_state::ok) << line.name << line.detail;
  EXPECT_THAT(lines[0].detail, HasSubstr("PostgreSQL"));
}

TEST(check_database, says_that_the_schema_is_missing) {
  const auto lines = check(shared_postgres().create_database());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].name, "schema");
  EXPECT_EQ(lines[1].state, check_state::fail);
  EXPECT_THAT(lines[1].detail, HasSubstr("outboxd migrate"));
}

TEST(check_database, warns_of_a_schema_from_the_future) {
  outbox_database db;
  db.run(
      "INSERT INTO \"outbox\".schema_version (version, title, checksum) VALUES (1000, 'x', 'x')");
  const auto lines = check(db.url());
  EXPECT_EQ(lines.at(1).state, check_state::warn);
}

TEST(check_database, names_the_grants_that_are_missing) {
  outbox_database db;
  db.run("CREATE ROLE stranger LOGIN PASSWORD 'secret'");
  const auto lines = check(db.url() + "?user=stranger&password=secret");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].name, "grants");
  EXPECT_EQ(lines[1].state, check_state::fail);
  EXPECT_THAT(lines[1].detail, HasSubstr("UPDATE on messages"));
  db.run("DROP ROLE stranger");
}

TEST(check_database, reports_a_server_that_is_not_there) {
  const auto lines = check("host=127.0.0.1 port=1 user=nobody password=secret");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].state, check_state::fail);
  EXPECT_THAT(lines[0].detail, testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace outboxd::tests
