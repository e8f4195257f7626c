#include "outbox/pg_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "outbox/exchanges_in_use.hpp"
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

const outbox::check_line& line(const std::vector<outbox::check_line>& lines,
                               const std::string& name) {
  const auto found = std::ranges::find(lines, name, &outbox::check_line::name);
  if (found == lines.end()) throw std::runtime_error("no line " + name);
  return *found;
}

TEST(check_database, is_content_with_a_migrated_database) {
  outbox_database db;
  const auto lines = check(db.url());
  for (const auto& l : lines) EXPECT_EQ(l.state, check_state::ok) << l.name << ": " << l.detail;
  EXPECT_THAT(line(lines, "database").detail, HasSubstr("PostgreSQL"));
  EXPECT_THAT(line(lines, "notify").detail, HasSubstr("arrived in "));
  EXPECT_THAT(line(lines, "clock").detail, HasSubstr(" this host"));
  EXPECT_THAT(line(lines, "horizon").detail, HasSubstr("no transaction is older"));
  for (const std::string name :
       {"pooler", "encoding", "grant USAGE on the schema", "grant DELETE on messages",
        "grant UPDATE on lead", "grant EXECUTE on replay_where", "schema", "autovacuum"}) {
    line(lines, name);
  }
}

TEST(check_database, says_that_the_schema_is_missing) {
  const auto lines = check(shared_postgres().create_database());
  const auto schema = line(lines, "schema");
  EXPECT_EQ(schema.state, check_state::fail);
  EXPECT_EQ(schema.kind, base::failure_kind::not_ready);
  EXPECT_THAT(schema.detail, HasSubstr("outboxd migrate"));
}

TEST(check_database, warns_of_a_schema_from_the_future_and_of_one_from_the_past) {
  outbox_database db;
  db.run("DELETE FROM \"outbox\".schema_version WHERE version > 1");
  const auto old = line(check(db.url()), "schema");
  EXPECT_EQ(old.state, check_state::warn);
  EXPECT_THAT(old.detail, HasSubstr("will do; run `outboxd migrate` for version"));
  db.run(
      "INSERT INTO \"outbox\".schema_version (version, title, checksum) VALUES (1000, 'x', 'x')");
  EXPECT_EQ(line(check(db.url()), "schema").state, check_state::warn);
}

TEST(check_database, names_each_grant_that_is_missing) {
  outbox_database db;
  db.run("CREATE ROLE stranger LOGIN PASSWORD 'secret'");
  const std::string url = db.url() + "?user=stranger&password=secret";
  auto lines = check(url);
  const auto update = line(lines, "grant UPDATE on messages");
  EXPECT_EQ(update.state, check_state::fail);
  EXPECT_EQ(update.kind, base::failure_kind::forbidden);
  EXPECT_THAT(update.detail, HasSubstr("GRANT outbox_relay TO \"stranger\""));
  EXPECT_EQ(line(lines, "notify").state, check_state::ok) << "the other checks go on";

  db.run(
      "GRANT outbox_relay TO stranger; REVOKE DELETE ON \"outbox\".messages FROM outbox_relay;"
      " REVOKE EXECUTE ON FUNCTION \"outbox\".retry(bigint, uuid) FROM outbox_relay");
  lines = check(url);
  EXPECT_EQ(line(lines, "grant UPDATE on messages").state, check_state::ok);
  EXPECT_EQ(line(lines, "grant DELETE on messages").state, check_state::fail);
  EXPECT_EQ(line(lines, "grant EXECUTE on retry").state, check_state::warn)
      << "it relays without, but `outboxd dead retry` does not work";
  db.run("DROP OWNED BY stranger; DROP ROLE stranger");
}

TEST(check_database, reports_a_server_that_is_not_there) {
  const auto lines = check("host=127.0.0.1 port=1 user=nobody password=secret");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].state, check_state::fail);
  EXPECT_EQ(lines[0].kind, base::failure_kind::unavailable);
  EXPECT_THAT(lines[0].detail, testing::Not(HasSubstr("secret")));
}

TEST(check_database, names_a_pooler) {
  const pgbouncer between;
  outbox_database db;
  const auto lines = check(between.uri(db.url().substr(db.url().rfind('/') + 1)));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].name, "pooler");
  EXPECT_EQ(lines[0].state, check_state::fail);
  EXPECT_EQ(lines[0].kind, base::failure_kind::not_ready);
  EXPECT_THAT(lines[0].detail, HasSubstr("name the PostgreSQL server itself"));
}

// What every sort of text may be in cannot be told as UTF-8.
TEST(check_database, refuses_another_encoding_than_utf8) {
  const auto lines = check(shared_postgres().create_database(in_sql_ascii));
  const auto encoding = line(lines, "encoding");
  EXPECT_EQ(encoding.state, check_state::fail);
  EXPECT_EQ(encoding.kind, base::failure_kind::not_ready);
  EXPECT_THAT(encoding.detail,
              testing::AllOf(HasSubstr("SQL_ASCII"), HasSubstr("ENCODING 'UTF8'")));
}

TEST(check_database, warns_where_autovacuum_is_off) {
  outbox_database db;
  db.run("ALTER TABLE \"outbox\".messages SET (toast.autovacuum_enabled = off)");
  EXPECT_THAT(line(check(db.url()), "autovacuum").detail, HasSubstr("RESET"));
  db.run("ALTER TABLE \"outbox\".messages RESET (toast.autovacuum_enabled)");
  EXPECT_EQ(line(check(db.url()), "autovacuum").state, check_state::ok);
  db.run("ALTER TABLE \"outbox\".messages SET (autovacuum_enabled = false)");
  EXPECT_EQ(line(check(db.url()), "autovacuum").state, check_state::warn);
}

TEST(check_database, names_who_holds_the_horizon) {
  outbox_database db;
  outbox::check_options options;
  options.url = db.url();
  options.old_transaction = std::chrono::milliseconds(0);
  const auto held = [&] {
    std::string all;
    for (const auto& l : outbox::check_database(options)) {
      if (l.name == "horizon" && l.state == check_state::warn) all += l.detail + "\n";
    }
    return all;
  };
  EXPECT_THAT(held(), testing::Not(HasSubstr("report")));
  pqxx::connection connection(db.url() + (db.url().find('?') == std::string::npos ? "?" : "&") +
                              "application_name=report");
  pqxx::transaction<pqxx::repeatable_read> tx(connection);
  tx.exec("SELECT pg_current_xact_id()");
  const auto of_report = held();
  EXPECT_THAT(of_report,
              HasSubstr("transaction of pid " + std::to_string(connection.backendpid())));
  EXPECT_THAT(of_report, HasSubstr("report, "));
  EXPECT_THAT(
      of_report,
      HasSubstr("idle in transaction) has kept vacuum from removing what was sent for 00:00:"));
  tx.abort();
  EXPECT_THAT(held(), testing::Not(HasSubstr("report")));
  db.run("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'forgotten'");
  EXPECT_THAT(held(), HasSubstr("prepared transaction 'forgotten' (postgres) has kept vacuum"));
  db.run("ROLLBACK PREPARED 'forgotten'");
}

std::string named_by_rows(const outbox_database& db) {
  outbox::check_options options;
  options.url = db.url();
  std::string all;
  for (const auto& exchange : outbox::exchanges_in_use(options).value())
    all += "'" + exchange.name + (exchange.awaited ? "' awaited, " : "', ");
  return all;
}

TEST(exchanges_in_use, are_those_of_rows_that_wait_and_of_rows_that_were_sent) {
  outbox_database db;
  EXPECT_EQ(named_by_rows(db), "");
  db.run(
      "INSERT INTO \"outbox\".messages (exchange, payload, not_before) VALUES ('sent', 'x', NULL),"
      " ('both', 'x', NULL), ('dead', 'x', NULL), ('failed', 'x', NULL), ('', 'x', NULL),"
      " ('both', 'x', NULL), ('scheduled', 'x', now() + interval '1 day'), ('waits', 'x', NULL)");
  db.run("UPDATE \"outbox\".messages SET status = 'sent', sent_at = now() WHERE id IN (1, 2)");
  db.run("UPDATE \"outbox\".messages SET status = 'dead', due_at = now() WHERE id = 3");
  db.run(
      "UPDATE \"outbox\".messages SET status = 'deferred', due_at = now(), attempts = 1 WHERE id = "
      "4");
  EXPECT_EQ(named_by_rows(db),
            "'' awaited, 'both' awaited, 'failed' awaited, 'scheduled' awaited, 'waits' awaited, "
            "'sent', ");
}

// What waits behind a hold is old, and the rest of the table newer.
TEST(exchanges_in_use, old_rows_that_wait_are_seen_behind_many_new_ones) {
  outbox_database db;
  const auto insert = [&](const std::string& exchange, int count) {
    db.run("INSERT INTO \"outbox\".messages (exchange, payload) SELECT '" + exchange +
           "', 'x' FROM generate_series(1, " + std::to_string(count) + ")");
  };
  insert("held", 10);
  insert("flows", 20'000);
  db.run(
      "UPDATE \"outbox\".messages SET status = 'sent', sent_at = now() WHERE exchange = 'flows'");
  insert("new", 1);
  EXPECT_EQ(named_by_rows(db), "'held' awaited, 'new' awaited, 'flows', ");
}

TEST(exchanges_in_use, cannot_be_told_without_the_table) {
  outbox::check_options options;
  options.url = shared_postgres().create_database();
  EXPECT_EQ(outbox::exchanges_in_use(options).error().kind, base::failure_kind::not_ready);
}

}  // namespace
}  // namespace outboxd::tests
