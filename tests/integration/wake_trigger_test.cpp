// Writers notify while the relay is idle, and only then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "outbox/schema.hpp"
#include "tests/integration/migrated_database.hpp"

using namespace outboxd;
using namespace outboxd::tests;
using testing::ElementsAre;
using testing::IsEmpty;

namespace {

// The relay's half of the protocol, from its own session.
class idle_relay {
 public:
  idle_relay(const std::string& uri, const std::string& schema) : session_(uri) {
    names_.schema = schema;
    session_.must("LISTEN " + outbox::quoted(outbox::wake_channel(schema)));
  }

  bool try_wake_lock() { return call("pg_try_advisory_lock") == "t"; }
  void release_wake_lock() { call("pg_advisory_unlock"); }
  std::vector<std::string> notifications() { return session_.notifications(); }

 private:
  std::string call(const std::string& function) {
    return session_.must(outbox::fill_in("SELECT " + function + "(" +
                                             std::string(outbox::messages_oid_as_int4_sql) + ", " +
                                             std::to_string(outbox::wake_lock) + ")",
                                         names_));
  }

  sql_session session_;
  outbox::schema_names names_;
};

const std::string insert = "INSERT INTO outbox.messages (payload) VALUES ('x')";

struct wake_trigger : testing::Test {
  migrated_database database;
  sql_session writer = database.writer();
  idle_relay relay{database.uri(), "outbox"};
};

TEST_F(wake_trigger, nobody_notifies_a_busy_relay) {
  writer.must(insert);
  writer.must("SELECT outbox.publish('', 'q', 'x')");
  EXPECT_THAT(relay.notifications(), IsEmpty());
}

TEST_F(wake_trigger, an_idle_relay_is_notified_once_a_transaction) {
  ASSERT_TRUE(relay.try_wake_lock());
  writer.must(insert);
  EXPECT_THAT(relay.notifications(), ElementsAre("outboxd_outbox:"));
  writer.must("BEGIN;" + insert + ";" + insert + ", ('y');" + insert + "; COMMIT");
  EXPECT_THAT(relay.notifications(), ElementsAre("outboxd_outbox:"));
  relay.release_wake_lock();
  writer.must(insert);
  EXPECT_THAT(relay.notifications(), IsEmpty());
}

TEST_F(wake_trigger, every_way_to_insert_notifies) {
  ASSERT_TRUE(relay.try_wake_lock());
  ASSERT_TRUE(writer.copy_in("COPY outbox.messages (payload) FROM STDIN", "a\nb\n").ok());
  EXPECT_THAT(relay.notifications(), testing::SizeIs(1));
  writer.must("INSERT INTO outbox.messages (payload) SELECT 'x' FROM generate_series(1, 100)");
  EXPECT_THAT(relay.notifications(), testing::SizeIs(1));
  writer.must("WITH i AS (" + insert + " RETURNING id) SELECT id FROM i");
  EXPECT_THAT(relay.notifications(), testing::SizeIs(1));
  writer.must("SELECT outbox.publish('', 'q', '{}'::jsonb)");
  EXPECT_THAT(relay.notifications(), testing::SizeIs(1));
  for (const std::string unusual :
       {"headers => '{}'", "priority => 1", "not_before => '2999-01-01'"}) {
    writer.must("SELECT outbox.publish('', 'q', 'x', " + unusual + ")");
    EXPECT_THAT(relay.notifications(), testing::SizeIs(1)) << unusual;
  }
}

TEST_F(wake_trigger, a_rolled_back_transaction_does_not_notify) {
  ASSERT_TRUE(relay.try_wake_lock());
  writer.must("BEGIN;" + insert + "; ROLLBACK");
  EXPECT_THAT(relay.notifications(), IsEmpty());
}

TEST_F(wake_trigger, of_savepoints_only_what_survives_notifies) {
  ASSERT_TRUE(relay.try_wake_lock());
  writer.must("BEGIN; SAVEPOINT s;" + insert + "; ROLLBACK TO s; COMMIT");
  EXPECT_THAT(relay.notifications(), IsEmpty());
  writer.must("BEGIN; SAVEPOINT s;" + insert + "; ROLLBACK TO s;" + insert + "; COMMIT");
  EXPECT_THAT(relay.notifications(), testing::SizeIs(1));
  writer.must("BEGIN; SAVEPOINT s;" + insert + "; RELEASE s; COMMIT");
  EXPECT_THAT(relay.notifications(), testing::SizeIs(1));
}

TEST_F(wake_trigger, the_relay_cannot_go_idle_while_a_row_is_on_its_way) {
  writer.must("BEGIN;" + insert);
  EXPECT_FALSE(relay.try_wake_lock());
  writer.must("COMMIT");
  EXPECT_TRUE(relay.try_wake_lock());
}

TEST_F(wake_trigger,
       a_row_that_was_rolled_back_to_a_savepoint_does_not_keep_the_relay_from_idling) {
  writer.must("BEGIN; SAVEPOINT s;" + insert + "; ROLLBACK TO s");
  EXPECT_TRUE(relay.try_wake_lock());
  writer.must(insert + "; COMMIT");
  EXPECT_THAT(relay.notifications(), testing::SizeIs(1));
}

TEST_F(wake_trigger, a_row_inserted_before_the_savepoint_still_keeps_the_relay_from_idling) {
  writer.must("BEGIN;" + insert + "; SAVEPOINT s;" + insert + "; ROLLBACK TO s");
  EXPECT_FALSE(relay.try_wake_lock());
  writer.must("COMMIT");
}

TEST_F(wake_trigger, writers_do_not_exclude_each_other) {
  auto other = database.writer();
  writer.must("BEGIN;" + insert);
  other.must("BEGIN;" + insert + "; COMMIT");
  writer.must("COMMIT");
  EXPECT_THAT(relay.notifications(), IsEmpty());
}

TEST_F(wake_trigger, two_outboxes_in_one_database_do_not_wake_each_other) {
  outbox::migrate_options second;
  second.url = database.uri();
  second.schema = "My Outbox";
  const migrated_database same_database(second);
  idle_relay other(database.uri(), "My Outbox");

  ASSERT_TRUE(relay.try_wake_lock());
  ASSERT_TRUE(other.try_wake_lock());
  writer.must("INSERT INTO \"My Outbox\".messages (payload) VALUES ('x')");
  EXPECT_THAT(relay.notifications(), IsEmpty());
  EXPECT_THAT(other.notifications(), ElementsAre("outboxd_My Outbox:"));
  writer.must(insert);
  EXPECT_THAT(relay.notifications(), ElementsAre("outboxd_outbox:"));
  EXPECT_THAT(other.notifications(), IsEmpty());

  const auto dead = database.owner().must(
      "INSERT INTO \"My Outbox\".messages (payload, status) VALUES ('x', 'dead') RETURNING id");
  other.notifications();
  database.owner().must("SELECT \"My Outbox\".retry(" + dead + ")");
  EXPECT_THAT(relay.notifications(), IsEmpty());
  EXPECT_THAT(other.notifications(), ElementsAre("outboxd_My Outbox:"));
}

TEST_F(wake_trigger,
       what_an_operator_does_with_a_dead_row_is_told_whether_or_not_the_relay_is_idle) {
  auto people = database.as("outbox_operator");
  auto owner = database.owner();
  for (const std::string action : {"retry", "discard"}) {
    const auto call = "SELECT outbox." + action + "(" +
                      owner.must(
                          "INSERT INTO outbox.messages (payload, status) "
                          "VALUES ('x', 'dead') RETURNING id") +
                      ")";
    EXPECT_EQ(people.must(call), "t");
    EXPECT_THAT(relay.notifications(), ElementsAre("outboxd_outbox:")) << action;
    EXPECT_EQ(people.must(call), "f");
    EXPECT_THAT(relay.notifications(), IsEmpty()) << "nothing was done";
  }
}

// As the trigger and the relay compute it; the oid of a table may be above 2^31.
TEST_F(wake_trigger, a_large_oid_becomes_a_negative_key_instead_of_an_error) {
  auto owner = database.owner();
  EXPECT_EQ(owner.must("SELECT 4294967295::oid::int4"), "-1");
}

}  // namespace
