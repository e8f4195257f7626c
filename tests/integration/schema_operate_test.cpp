// Many rows at once, by SQL alone: what an operator without the program calls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/migrated_database.hpp"

using namespace outboxd;
using namespace outboxd::tests;

namespace {

constexpr const char* invalid_parameter_value = "22023";
constexpr const char* configuration_limit_exceeded = "53400";

struct schema_operate : testing::Test {
  migrated_database database;
  sql_session owner = database.owner();
  sql_session session = database.as("outbox_operator");

  void insert(int count, const std::string& columns, const std::string& state) {
    owner.must(
        "WITH new AS (INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, "
        "payload) SELECT " +
        columns + ", n::text FROM generate_series(1, " + std::to_string(count) +
        ") AS n RETURNING id) SELECT count(*) FROM new");
    owner.must("UPDATE outbox.messages SET " + state + " WHERE status = 'pending'");
  }
  void insert_dead(const std::string& columns, const std::string& error,
                   const std::string& ago = "0") {
    insert(1, columns,
           "status = 'dead', attempts = 3, failing_since = now(), last_error = '" + error +
               "', due_at = now() - interval '" + ago + "'");
  }
  void insert_sent(int count, const std::string& ago,
                   const std::string& columns = "'', 'q', NULL, NULL") {
    const std::string then = "now() - interval '" + ago + "'";
    insert(count, columns, "status = 'sent', created_at = " + then + ", sent_at = " + then);
  }

  std::string ids(const std::string& condition) {
    return owner.must("SELECT string_agg(id::text, ' ' ORDER BY id) FROM outbox.messages WHERE " +
                      condition);
  }
  std::string count(const std::string& condition) {
    return owner.must("SELECT count(*) FROM outbox.messages WHERE " + condition);
  }
  // replay_where and purge_where: the number of rows, and where to go on.
  std::string page(const std::string& call) {
    return session.must("SELECT p::text FROM outbox." + call + " AS p");
  }
};

struct schema_operate_dead : schema_operate {
  schema_operate_dead() {
    insert_dead("'x', 'a', NULL, 't'", "too_large: 3 bytes");
    insert_dead("'x', 'b', 'k', NULL", "refused: 406");
    insert_dead("'', 'q', 'k', NULL", "refused: 406", "3 hours");
    insert_sent(1, "1 hour");
  }
};

TEST_F(schema_operate_dead, retry_where_takes_what_every_filter_lets_through) {
  const auto retried = [&](const std::string& filters) {
    const auto number = session.must("SELECT outbox.retry_where(" + filters + ")");
    const auto which = ids("status = 'deferred'");
    owner.must("UPDATE outbox.messages SET status = 'dead' WHERE status = 'deferred'");
    return number + ": " + which;
  };
  EXPECT_EQ(retried("exchange => 'x'"), "2: 1 2");
  EXPECT_EQ(retried("exchange => ''"), "1: 3");
  EXPECT_EQ(retried("routing_key => 'b'"), "1: 2");
  EXPECT_EQ(retried("ordering_key => 'k', reason => 'refused'"), "2: 2 3");
  EXPECT_EQ(retried("type => 't'"), "1: 1");
  EXPECT_EQ(retried("reason => 'too_large'"), "1: 1");
  EXPECT_EQ(retried("everything => true"), "3: 1 2 3");
  EXPECT_EQ(retried("reason => 'nacked'"), "0: null");
}

TEST_F(schema_operate_dead, retry_where_gives_a_clean_sheet_and_wakes_the_relay_once) {
  owner.must("LISTEN outboxd_outbox");
  EXPECT_EQ(session.must("SELECT outbox.retry_where(since => interval '1 hour')"), "2");
  EXPECT_EQ(owner.notifications().size(), 1u);
  EXPECT_EQ(ids("status = 'deferred' AND due_at <= now() AND attempts = 0 AND failing_since IS NULL"
                " AND last_error <> ''"),
            "1 2");
  EXPECT_EQ(
      owner.must("SELECT count(DISTINCT due_at) FROM outbox.messages WHERE status = 'deferred'"),
      "1")
      << "of one instant: they go in the order of their ids";
  EXPECT_EQ(session.must("SELECT outbox.retry_where(exchange => 'nowhere')"), "0");
  EXPECT_TRUE(owner.notifications().empty());
}

TEST_F(schema_operate_dead, discard_where_deletes_and_wakes_the_relay) {
  owner.must("LISTEN outboxd_outbox");
  EXPECT_EQ(session.must("SELECT outbox.discard_where(ordering_key => 'k')"), "2");
  EXPECT_EQ(owner.notifications().size(), 1u) << "a key may be free now";
  EXPECT_EQ(ids("true"), "1 4");
  EXPECT_EQ(session.must("SELECT outbox.discard_where(everything => true)"), "1");
  EXPECT_EQ(ids("true"), "4") << "dead ones only";
}

// Everything, by a slip of the hand: no.
TEST_F(schema_operate_dead, without_a_filter_nothing_is_decided) {
  for (const std::string call :
       {"retry_where()", "discard_where()", "discard_where(everything => false)",
        "discard_where(everything => NULL)", "replay_where()", "replay_where(until => now())",
        "purge_where()", "purge_where(dead_older_than => NULL)"}) {
    EXPECT_EQ(session.run("SELECT outbox." + call).sqlstate, invalid_parameter_value) << call;
  }
  EXPECT_EQ(session.run("SELECT outbox.purge_where(interval '0', batch => 0)").sqlstate,
            invalid_parameter_value);
  EXPECT_EQ(ids("true"), "1 2 3 4");
}

TEST_F(schema_operate, a_pause_is_told_on_one_line) {
  for (const std::string given : {"reason => E'x\\nWATCHDOG=trigger'", "reason => U&'\\009b2J'",
                                  "reason => E'\\x7f'", "exchange => E'a\\tb'"}) {
    EXPECT_EQ(session.run("SELECT outbox.pause(" + given + ")").constraint,
              "pauses_exchange_and_reason_have_no_control_characters")
        << given;
  }
  session.must("SELECT outbox.pause('Bücher', reason => 'é, ÿ and 🐇 are none')");
  session.must("SELECT outbox.pause(ordering_key => E'a key\\tas it is')");
}

TEST_F(schema_operate, with_all_pauses_in_force_everything_can_be_paused_and_each_be_changed) {
  session.must(
      "SELECT count(outbox.pause(ordering_key => n::text)) FROM generate_series(1, 256) AS n");
  EXPECT_EQ(session.run("SELECT outbox.pause('x')").sqlstate, configuration_limit_exceeded);
  session.must("SELECT outbox.pause(ordering_key => '7', reason => 'changed')");
  session.must("SELECT outbox.pause()");
  session.must("SELECT outbox.pause(reason => 'changed')");
  session.must("SELECT outbox.pause(ordering_key => '8', reason => 'changed')");
  EXPECT_EQ(session.run("SELECT outbox.pause('')").sqlstate, configuration_limit_exceeded);
  EXPECT_EQ(owner.must("SELECT count(*) FROM outbox.pauses WHERE reason = 'changed'"), "3");
  session.must("SELECT outbox.resume(ordering_key => '9')");
  session.must("SELECT outbox.pause('')");
}

TEST_F(schema_operate, replay_where_makes_sent_rows_due_and_keeps_the_mark) {
  insert_sent(3, "5 hours", "'x', 'a', 'k', 't'");
  insert_sent(2, "1 hour");
  insert(1, "'', 'q', NULL, NULL", "status = 'pending'");
  owner.must("LISTEN outboxd_outbox");
  EXPECT_EQ(
      page(
          "replay_where(since => now() - interval '6 hours', until => now() - interval '2 hours')"),
      "(3,)");
  EXPECT_EQ(owner.notifications().size(), 1u);
  EXPECT_EQ(ids("status = 'deferred' AND due_at <= now() AND attempts = 0 AND sent_at IS NOT NULL"),
            "1 2 3");
  EXPECT_EQ(page("replay_where(exchange => 'x')"), "(0,)") << "they are on their way";
  EXPECT_EQ(page("replay_where(id => 5)"), "(1,)");
  EXPECT_EQ(page("replay_where(id => 6)"), "(0,)") << "never sent";
  EXPECT_EQ(page("replay_where(type => 't', everything => true)"), "(0,)");
  EXPECT_EQ(ids("status = 'sent'"), "4");
}

TEST_F(schema_operate, replay_where_goes_page_by_page_and_takes_no_row_twice) {
  insert_sent(25, "1 hour");
  const std::string until = owner.must("SELECT now()::text");
  const auto next = [&](const std::string& after) {
    return page("replay_where(everything => true, until => '" + until +
                "', batch => 10, after => " + after + ")");
  };
  EXPECT_EQ(page("replay_where(everything => true, batch => 10, dry_run => true)"), "(10,10)");
  EXPECT_EQ(count("status = 'sent'"), "25");
  EXPECT_EQ(next("0"), "(10,10)");
  owner.must(
      "UPDATE outbox.messages SET status = 'sent', sent_at = clock_timestamp() WHERE status = "
      "'deferred'");
  EXPECT_EQ(next("10"), "(10,20)");
  EXPECT_EQ(next("20"), "(5,)");
  EXPECT_EQ(next("0"), "(0,)") << "from the start again: sent again later than until";
}

TEST_F(schema_operate, purge_where_spares_what_is_young_what_waits_and_what_may_hold_a_key) {
  insert_sent(12, "2 days");
  insert_sent(3, "1 hour");
  insert(2, "'', 'q', 'k', NULL",
         "status = 'dead', due_at = now() - interval '2 days', created_at = now() - interval '3 "
         "days'");
  insert(1, "'', 'q', NULL, NULL",
         "status = 'dead', due_at = now() - interval '2 days', created_at = now() - interval '3 "
         "days'");
  insert(1, "'', 'q', NULL, NULL", "created_at = now() - interval '9 days'");
  insert(1, "'', 'q', NULL, NULL",
         "status = 'deferred', due_at = now(), sent_at = now() - interval '9 days'");
  EXPECT_EQ(page("purge_where(interval '1 day', batch => 5, dry_run => true)"), "(5,5)");
  EXPECT_EQ(page("purge_where(interval '1 day', batch => 5)"), "(5,5)");
  EXPECT_EQ(page("purge_where(interval '1 day', batch => 5, after => 5)"), "(5,10)");
  EXPECT_EQ(page("purge_where(interval '1 day', batch => 5, after => 10)"), "(2,)");
  EXPECT_EQ(count("status = 'sent'"), "3");
  EXPECT_EQ(page("purge_where(dead_older_than => interval '1 day')"), "(1,)");
  EXPECT_EQ(page("purge_where(dead_older_than => interval '1 day', keep_dead_keys => false)"),
            "(2,)");
  EXPECT_EQ(count("true"), "5");
}

// A page looks at so many rows and no more, and the walk ends where everything is too young.
TEST_F(schema_operate, a_page_is_bounded_and_the_last_one_is_known) {
  insert_sent(5'000, "2 days");
  insert_sent(5'000, "1 hour");
  EXPECT_EQ(page("replay_where(type => 'none', batch => 1)"), "(0,2000)");
  EXPECT_EQ(page("replay_where(type => 'none', batch => 1, after => 2000)"), "(0,4000)");
  EXPECT_EQ(page("purge_where(interval '1 day', batch => 1, after => 4999)"), "(1,6999)");
  EXPECT_EQ(page("purge_where(interval '1 day', batch => 1, after => 6999)"), "(0,)")
      << "nothing there or behind it is old enough";
}

// As the relay's own statements: whatever the statistics say. What a function runs is seen by what
// it costs.
TEST_F(schema_operate,
       a_page_goes_by_the_primary_key_when_the_table_was_empty_at_its_last_analyze) {
  owner.must(
      "ALTER TABLE outbox.messages SET (autovacuum_enabled = false); ANALYZE outbox.messages");
  insert_sent(20'000, "2 days");
  owner.must("SELECT pg_stat_reset()");
  const auto scans = [&] {
    owner.must("SELECT pg_stat_clear_snapshot()");
    return owner.must("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'messages'");
  };
  {
    auto one = database.as("outbox_operator");
    one.must("SELECT outbox.replay_where(everything => true, batch => 10)");
    one.must("SELECT outbox.purge_where(interval '1 day', batch => 10)");
  }  // a session that ends has told its counts
  EXPECT_EQ(scans(), "0");
}

}  // namespace
