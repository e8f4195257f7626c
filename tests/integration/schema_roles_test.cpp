// Who may do what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/migrated_database.hpp"

using namespace outboxd;
using namespace outboxd::tests;

namespace {

constexpr const char* permission_denied = "42501";

struct schema_roles : testing::Test {
  migrated_database database;
  sql_session owner = database.owner();

  void SetUp() override {
    owner.must("INSERT INTO outbox.messages (payload) VALUES ('somebody''s')");
  }
};

TEST_F(schema_roles, a_writer_inserts_and_reads_back_what_identifies_the_row) {
  auto writer = database.writer();
  const auto answer =
      writer.run("INSERT INTO outbox.messages (payload) VALUES ('x') RETURNING id, message_id");
  ASSERT_TRUE(answer.ok()) << answer.message;
  EXPECT_EQ(answer.rows.at(0).size(), 2U);
  EXPECT_EQ(
      writer.run("INSERT INTO outbox.messages (payload) VALUES ('x') RETURNING payload").sqlstate,
      permission_denied);
}

TEST_F(schema_roles, a_writer_can_do_nothing_else) {
  auto writer = database.writer();
  for (const std::string sql : {
           "SELECT * FROM outbox.messages",
           "SELECT payload FROM outbox.messages",
           "UPDATE outbox.messages SET payload = 'x'",
           "UPDATE outbox.messages SET message_id = message_id",
           "DELETE FROM outbox.messages",
           "TRUNCATE outbox.messages",
           "BEGIN; LOCK TABLE outbox.messages IN ACCESS SHARE MODE",
           "SELECT id FROM outbox.messages FOR UPDATE",
           "COPY outbox.messages TO STDOUT",
           "ALTER TABLE outbox.messages DISABLE TRIGGER ALL",
           "DROP TABLE outbox.messages",
           "INSERT INTO outbox.messages DEFAULT VALUES ON CONFLICT (id) DO UPDATE SET id = 1",
           "SELECT setval('outbox.messages_id_seq', 1000000)",
           "ALTER SEQUENCE outbox.messages_id_seq RESTART",
           "SELECT * FROM outbox.lead",
           "UPDATE outbox.lead SET epoch = 7",
           "SELECT * FROM outbox.schema_version",
           "INSERT INTO outbox.schema_version VALUES (9, 't', 'c')",
           "SELECT outbox.retry(1)",
           "SELECT outbox.discard(1)",
           "SELECT outbox.retry_where(everything => true)",
           "SELECT outbox.discard_where(everything => true)",
           "SELECT outbox.replay_where(everything => true)",
           "SELECT outbox.purge_where(interval '0')",
           "SELECT outbox.dead_ids(NULL, NULL, NULL, NULL, NULL, NULL, true)",
           "CREATE TABLE outbox.mine (x int)",
       }) {
    EXPECT_EQ(writer.run(sql).sqlstate, permission_denied) << sql;
    writer.must("ROLLBACK");
  }
}

TEST_F(schema_roles, a_writer_cannot_set_what_the_relay_owns) {
  auto writer = database.writer();
  for (const std::string assignment :
       {"id: 1000", "created_at: now()", "status: 'sent'", "attempts: 1", "due_at: now()",
        "failing_since: now()", "sent_at: now()", "last_error: 'x'"}) {
    const auto colon = assignment.find(':');
    const auto name = assignment.substr(0, colon);
    EXPECT_EQ(writer
                  .run("INSERT INTO outbox.messages (payload, " + name + ") VALUES ('x', " +
                       assignment.substr(colon + 1) + ")")
                  .sqlstate,
              permission_denied)
        << name;
    EXPECT_EQ(
        writer.copy_in("COPY outbox.messages (payload, " + name + ") FROM STDIN", "").sqlstate,
        permission_denied)
        << name;
  }
}

TEST_F(schema_roles, a_relay_reads_marks_deletes_and_leads) {
  auto relay = database.as("outbox_relay");
  for (const std::string sql : {
           "SELECT * FROM outbox.messages",
           "UPDATE outbox.messages SET status = 'sent', sent_at = now()",
           "UPDATE outbox.lead SET epoch = epoch + 1, holder = 'me', since = now()",
           "SELECT FROM outbox.lead WHERE epoch = 1 FOR SHARE",
           "DELETE FROM outbox.messages",
           "SELECT version FROM outbox.schema_version",
       }) {
    const auto answer = relay.run(sql);
    EXPECT_TRUE(answer.ok()) << sql << ": " << answer.message;
  }
  for (const std::string sql : {
           "INSERT INTO outbox.messages (payload) VALUES ('x')",
           "TRUNCATE outbox.messages",
           "DELETE FROM outbox.lead",
           "INSERT INTO outbox.lead DEFAULT VALUES",
           "UPDATE outbox.schema_version SET version = 9",
       }) {
    EXPECT_EQ(relay.run(sql).sqlstate, permission_denied) << sql;
  }
}

TEST_F(schema_roles, an_operator_sees_all_and_decides_only_by_the_functions) {
  auto session = database.as("outbox_operator");
  EXPECT_TRUE(session.run("SELECT * FROM outbox.messages, outbox.lead").ok());
  EXPECT_EQ(session.must("SELECT outbox.retry(1) OR outbox.discard(1)"), "f");
  EXPECT_EQ(session.must("SELECT outbox.retry_where(everything => true)"
                         " + outbox.discard_where(everything => true)"),
            "0");
  EXPECT_EQ(session.must("SELECT replayed FROM outbox.replay_where(everything => true)"), "0");
  EXPECT_EQ(session.must("SELECT purged FROM outbox.purge_where(interval '0')"), "0");
  for (const std::string sql : {
           "UPDATE outbox.messages SET status = 'dead'",
           "DELETE FROM outbox.messages",
           "INSERT INTO outbox.messages (payload) VALUES ('x')",
           "UPDATE outbox.lead SET epoch = 7",
           "SELECT outbox.dead_ids(NULL, NULL, NULL, NULL, NULL, NULL, true)",
       }) {
    EXPECT_EQ(session.run(sql).sqlstate, permission_denied) << sql;
  }
}

TEST_F(schema_roles, a_reader_sees_everything_but_bodies) {
  auto reader = database.as("outbox_reader");
  EXPECT_EQ(reader.must("SELECT status FROM outbox.messages"), "pending");
  EXPECT_EQ(reader.must("SELECT epoch FROM outbox.lead"), "0");
  for (const std::string sql : {
           "SELECT payload FROM outbox.messages",
           "SELECT payload_bytes FROM outbox.messages",
           "DELETE FROM outbox.messages",
           "SELECT outbox.discard(1)",
       }) {
    EXPECT_EQ(reader.run(sql).sqlstate, permission_denied) << sql;
  }
}

TEST_F(schema_roles, nobody_else_has_any_right) {
  owner.must("CREATE ROLE somebody_else");
  auto stranger = database.as("somebody_else");
  EXPECT_EQ(stranger.run("SELECT id FROM outbox.messages").sqlstate, permission_denied);
  owner.must("GRANT USAGE ON SCHEMA outbox TO somebody_else");
  EXPECT_EQ(stranger.run("SELECT id FROM outbox.messages").sqlstate, permission_denied);
  EXPECT_EQ(stranger.run("SELECT outbox.publish('', 'q', 'x')").sqlstate, permission_denied);
  EXPECT_EQ(stranger.run("SELECT outbox.discard(1)").sqlstate, permission_denied);
}

// A function that runs with its owner's rights must not take a table of the caller's for the
// outbox.
TEST_F(schema_roles, an_operator_cannot_lead_the_functions_astray) {
  auto session = database.as("outbox_operator");
  session.must(
      "CREATE TEMP TABLE messages (id bigint, message_id uuid, status text);"
      " INSERT INTO messages VALUES (77, NULL, 'dead');"
      " SET search_path = pg_temp, outbox, pg_catalog");
  EXPECT_EQ(session.must("SELECT outbox.discard(77)"), "f");
}

}  // namespace
