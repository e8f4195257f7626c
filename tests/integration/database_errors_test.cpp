// Statements fail, tables are locked, grants, triggers, sessions and the schema itself go while the
// relay runs: it says so, retries, loses nothing, and goes on without a restart.
#include <csignal>
#include <filesystem>

#include "tests/integration/database_fault.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::tests {
namespace {

class database_errors : public database_fault {
 protected:
  // With the grants that the documents ask for, and no more.
  database_errors() {
    ask("DROP ROLE IF EXISTS sut");
    ask("CREATE ROLE sut LOGIN PASSWORD 'secret' IN ROLE outbox_relay");
  }
  ~database_errors() override {
    relay.reset();
    ask("DROP ROLE sut");
  }

  void launch(sidecar::settings more = {}) {
    more["OUTBOX_INSTANCE_ID"] = "sut";
    relay = start_ready(db.url() + "?user=sut&password=secret", more);
  }

  bool says(const std::string& text) {
    return eventually(
        20s, [&] { return relay->get("/readyz?verbose").find(text) != std::string::npos; });
  }

  static constexpr const char* sessions_of_the_relay =
      " FROM pg_stat_activity WHERE application_name = 'sut' AND datname = current_database()";

  std::unique_ptr<sidecar> relay;
};

TEST_F(database_errors, a_statement_that_fails_is_tried_again_while_rows_go_on_to_the_broker) {
  ask("CREATE TABLE fault (code text)");
  ask("GRANT SELECT ON fault TO PUBLIC");
  ask("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c text; BEGIN "
      "SELECT code INTO c FROM public.fault; "
      "IF FOUND THEN RAISE EXCEPTION 'simulated %', c USING ERRCODE = c; END IF; "
      "RETURN NULL; END $$");
  ask("CREATE TRIGGER fault BEFORE UPDATE ON outbox.messages FOR EACH STATEMENT "
      "EXECUTE FUNCTION fail()");
  launch();
  std::uint32_t queued = 0;
  // Serialization failure, deadlock, lock not available, statement timeout, disk full, out of
  // memory, too many connections, I/O error, internal error, read only, the server goes down.
  for (const std::string code : {"40001", "40P01", "55P03", "57014", "53100", "53200", "53300",
                                 "58030", "XX000", "25006", "57P01"}) {
    SCOPED_TRACE(code);
    ask("INSERT INTO fault VALUES ('" + code + "')");
    for (int half = 1; half <= 2; ++half) {
      insert(20, "q", "k");
      ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == queued + 20; }))
          << relay->log();
      queued += 20;
    }
    EXPECT_TRUE(says("simulated " + code)) << relay->log();
    EXPECT_EQ(relay->metric("outbox_leader"), 1);
    ask("DELETE FROM fault");
    EXPECT_TRUE(eventually(20s, [&] { return unsent() == 0; })) << relay->log();
  }
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.duplicates, 0u);
}

// Marks lock their rows by ascending id; whoever locks them the other way round meets them. Both
// acks are held back and come together, so that both rows are in one statement.
TEST_F(database_errors, a_deadlock_ends_with_the_marks_giving_way) {
  tcp_gate rabbit(shared_rabbitmq().port());
  relay = std::make_unique<sidecar>(
      db.url() + "?user=sut&password=secret", rabbit.through(amqp_url),
      sidecar::settings{{"OUTBOX_INSTANCE_ID", "sut"}, {"OUTBOX_CONNECTIONS", "1"}});
  relay->await_ready();
  rabbit.stall(direction::to_client);
  insert(2);
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 2; }));
  pqxx::connection connection(db.url());
  pqxx::work other(connection);
  other.exec("SET deadlock_timeout = '1min'");  // so that it is the relay which is told
  other.exec("SELECT FROM outbox.messages WHERE id = 2 FOR UPDATE");
  rabbit.pass();
  ASSERT_TRUE(eventually(20s, [&] {
    return number(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
               "application_name = 'sut'") == 1;
  })) << relay->log();
  other.exec("SELECT FROM outbox.messages WHERE id = 1 FOR UPDATE");
  other.commit();
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.duplicates, 0u);
}

// More rows than fit into its memory: one that stays behind must not fill it.
TEST_F(database_errors, a_row_that_somebody_holds_keeps_no_other_from_being_marked) {
  launch({{"OUTBOX_MAX_IN_FLIGHT", "100"}});
  relay->kill(SIGSTOP);
  insert(6'000);
  insert(1, "nowhere");
  {
    pqxx::connection connection(db.url());
    pqxx::work somebody(connection);
    somebody.exec("SELECT FROM outbox.messages WHERE id = 42 FOR UPDATE");
    relay->kill(SIGCONT);
    EXPECT_TRUE(eventually(60s, [&] { return unsent() == 2; })) << unsent() << relay->log();
    EXPECT_TRUE(relay->logged("rows.locked")) << relay->log();
    EXPECT_FALSE(relay->logged("database.failed")) << relay->log();
    EXPECT_TRUE(eventually(20s, [&] {
      return ask("SELECT status FROM outbox.messages WHERE routing_key = 'nowhere'") == "deferred";
    })) << "a decision beside it";
    EXPECT_EQ(ask("SELECT status FROM outbox.messages WHERE id = 42"), "pending");
  }
  EXPECT_TRUE(eventually(20s, [&] { return unsent() == 1; })) << relay->log();
  EXPECT_TRUE(eventually(20s, [&] { return relay->logged("rows.unlocked"); })) << relay->log();
  EXPECT_EQ(broker.queue("q")->messages, 6'000u) << "nothing came twice";
}

TEST_F(database_errors, table_changes_and_locks_under_load_are_waited_out) {
  launch();
  writers load(db.url(), 3);
  const auto go_on = [&] {
    const auto goal = relay->metric("outbox_messages_confirmed_total") + 100;
    return eventually(30s,
                      [&] { return relay->metric("outbox_messages_confirmed_total") >= goal; });
  };
  for (const char* change :
       {"ALTER TABLE outbox.messages ADD COLUMN tenant text DEFAULT 'x'",
        "VACUUM FULL outbox.messages", "ALTER TABLE outbox.messages DROP COLUMN tenant",
        "REINDEX TABLE outbox.messages", "CREATE INDEX mine ON outbox.messages (created_at)",
        "ANALYZE outbox.messages"}) {
    ASSERT_TRUE(go_on()) << "before " << change << "\n" << relay->log();
    ask(change);
  }
  ASSERT_TRUE(go_on()) << relay->log();
  {
    pqxx::connection connection(db.url());
    pqxx::work lock(connection);
    lock.exec("LOCK TABLE outbox.messages");
    // It gives way instead of standing in the queue for locks, and keeps the lead meanwhile.
    EXPECT_TRUE(says("lock timeout")) << relay->log();
    EXPECT_EQ(relay->metric("outbox_leader"), 1);
    EXPECT_EQ(relay->get("/livez"), "ok\n");
  }
  EXPECT_TRUE(go_on()) << relay->log();
  expect_everything_delivered(*relay, &load);
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_FALSE(relay->logged("lead.lost"));
}

TEST_F(database_errors, every_session_of_the_relay_is_ended_in_turn_under_load) {
  launch();
  writers load(db.url(), 3);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(eventually(20s, [&] {
      return number(std::string("SELECT count(*)") + sessions_of_the_relay) == 3;
    })) << relay->log();
    const auto pid =
        ask(std::string("SELECT pid") + sessions_of_the_relay +
            " ORDER BY backend_start, pid OFFSET " + std::to_string(round) + " LIMIT 1");
    const auto goal = load.committed() + 30;
    ASSERT_TRUE(eventually(20s, [&] { return load.committed() >= goal; }));
    ask("SELECT pg_terminate_backend(" + pid + ")");
  }
  // And all at once.
  ask(std::string("SELECT pg_terminate_backend(pid)") + sessions_of_the_relay);
  expect_everything_delivered(*relay, &load);
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_TRUE(eventually(20s, [&] { return relay->metric("outbox_leader") == 1; }));
}

TEST_F(database_errors, a_grant_that_is_lost_for_a_while_is_named_and_waited_for) {
  launch();
  ask("REVOKE UPDATE ON outbox.messages FROM outbox_relay");
  insert(20, "q", "k");
  EXPECT_TRUE(says("permission denied for table messages")) << relay->log();
  EXPECT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 20; })) << relay->log();
  ask("GRANT UPDATE ON outbox.messages TO outbox_relay");
  EXPECT_TRUE(eventually(20s, [&] { return unsent() == 0; })) << relay->log();

  ask("REVOKE USAGE ON SCHEMA outbox FROM outbox_relay");
  insert(20, "q", "k");
  EXPECT_TRUE(says("lacks USAGE on the schema")) << relay->get("/readyz?verbose") << relay->log();
  ask("GRANT USAGE ON SCHEMA outbox TO outbox_relay");
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.duplicates, 0u);
}

// The new tables have other oids, and so other locks, and a lead that was never taken.
TEST_F(database_errors, a_schema_that_is_dropped_is_missed_and_a_new_one_is_led_anew) {
  launch();
  insert(10, "q", "k");
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; }));
  ask("DROP SCHEMA outbox CASCADE");
  EXPECT_TRUE(says("outboxd migrate")) << relay->get("/readyz?verbose") << relay->log();
  EXPECT_TRUE(eventually(20s, [&] { return relay->metric("outbox_leader") == 0; }));
  run({.argv = {OUTBOXD_BINARY, "migrate", "up"}, .env = {{"OUTBOX_DATABASE_URL", db.url()}}});
  relay->await_ready();
  EXPECT_EQ(ask("SELECT holder FROM outbox.lead"), "sut");
  EXPECT_EQ(number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND "
                   "classid = 'outbox.messages'::regclass"),
            1);
  insert(1, "nowhere");
  insert(10, "q", "k");
  EXPECT_TRUE(
      eventually(20s, [&] { return number("SELECT max(attempts) FROM outbox.messages") > 1; }))
      << "its decisions do not count\n"
      << relay->log();
  EXPECT_TRUE(eventually(20s, [&] { return unsent() == 1; }));
  EXPECT_EQ(broker.queue("q")->messages, 20u);
}

TEST_F(database_errors, a_schema_that_is_replaced_at_once_is_led_anew_too) {
  launch();
  insert(1, "nowhere");
  ASSERT_TRUE(
      eventually(20s, [&] { return number("SELECT max(attempts) FROM outbox.messages") > 1; }));
  ask("DROP SCHEMA outbox CASCADE");
  run({.argv = {OUTBOXD_BINARY, "migrate", "up"}, .env = {{"OUTBOX_DATABASE_URL", db.url()}}});
  insert(1, "nowhere");
  insert(10, "q");
  EXPECT_TRUE(
      eventually(20s, [&] { return number("SELECT max(attempts) FROM outbox.messages") > 1; }))
      << "its decisions do not count\n"
      << relay->log();
  EXPECT_TRUE(eventually(20s, [&] { return unsent() == 1; }));
  EXPECT_EQ(broker.queue("q")->messages, 10u);
}

TEST_F(database_errors, without_the_trigger_rows_are_found_by_polling) {
  launch({{"OUTBOX_POLL_INTERVAL", "200ms"}});
  ask("DROP TRIGGER messages_admit ON outbox.messages");
  for (int i = 0; i < 3; ++i) {
    insert(10, "q", "k");
    EXPECT_TRUE(eventually(20s, [&] { return unsent() == 0; }));
  }
  expect_everything_delivered(*relay);
  EXPECT_EQ(relay->metric("outbox_db_notifications_total"), 0);
}

TEST_F(database_errors, settings_of_its_role_do_not_matter) {
  for (const char* setting :
       {"statement_timeout = '100ms'", "lock_timeout = '10ms'", "bytea_output = 'escape'",
        "search_path = 'nowhere'", "default_transaction_isolation = 'serializable'",
        "idle_session_timeout = '1s'", "row_security = off", "DateStyle = 'German'",
        "TimeZone = 'Asia/Kathmandu'", "extra_float_digits = 0"}) {
    ask(std::string("ALTER ROLE sut SET ") + setting);
  }
  launch();
  relay->kill(SIGSTOP);
  insert(5, "q", "k");
  {
    pqxx::connection connection(db.url());
    pqxx::work lock(connection);
    lock.exec("SELECT FROM outbox.messages FOR UPDATE");
    relay->kill(SIGCONT);
    EXPECT_TRUE(eventually(20s, [&] {
      return number(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                 "application_name = 'sut' AND now() - query_start > interval '100 ms'") == 1;
    })) << "the marks do not wait as long as we allow them to";
  }
  ask("INSERT INTO outbox.messages (routing_key, payload_bytes) VALUES ('q', '\\x00ff5c')");
  EXPECT_TRUE(eventually(20s, [&] { return unsent() == 0; })) << relay->log();
  EXPECT_FALSE(relay->logged("database.failed")) << relay->log();
  std::string last;
  while (const auto m = broker.get("q")) last = m->body;
  EXPECT_EQ(last, std::string("\x00\xff\x5c", 3));
}

// The server cannot read the part of its queue where a new listener would begin: 58P01. A page that
// nobody needs is written out once there are more than its buffers hold; then its file is removed.
TEST_F(database_errors, a_refused_listen_leaves_it_polling) {
  {
    pqxx::connection holder(shared_postgres().uri("postgres"));
    pqxx::nontransaction(holder).exec("LISTEN x");
    pqxx::work keeps_the_queue(holder);
    keeps_the_queue.exec("SELECT 1");
    pqxx::connection connection(shared_postgres().uri("postgres"));
    pqxx::nontransaction tx(connection);
    for (int n = 0; n < 64; ++n)
      tx.exec("SELECT pg_notify('x', repeat('" + std::to_string(n % 10) + "', 7000))");
    const auto queue = scratch_directory() / "postgres/data/pg_notify";
    // PostgreSQL 17 has longer names.
    ASSERT_TRUE(std::filesystem::remove(queue / "0000") ||
                std::filesystem::remove(queue / std::string(15, '0')));
    launch({{"OUTBOX_POLL_INTERVAL", "200ms"}});
    EXPECT_TRUE(eventually(20s, [&] { return relay->logged("lead.listen_failed"); }))
        << relay->log();
    for (int i = 0; i < 3; ++i) {
      insert(10, "q", "k");
      EXPECT_TRUE(eventually(20s, [&] { return unsent() == 0; }));
    }
    expect_everything_delivered(*relay);
    relay.reset();
  }
  shared_postgres().stop();
  shared_postgres().start();  // empties the queue
}

}  // namespace
}  // namespace outboxd::tests
