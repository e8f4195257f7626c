// However rows are committed: late, with gaps, in two phases, by COPY, beside a snapshot that is
// held for hours. Every one is found, and finding them does not become dearer.
#include <csignal>

#include "tests/integration/database_fault.hpp"
#include "tests/integration/sql_session.hpp"

namespace outboxd::tests {
namespace {

class commits : public database_fault {
 protected:
  // A transaction that has drawn its id and takes its time.
  struct open_transaction {
    open_transaction(const std::string& url, const std::string& body)
        : connection(url), tx(connection) {
      tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', '" + body + "')");
    }
    pqxx::connection connection;
    pqxx::work tx;
  };

  // Rows whose ids have a gap of one between each two: the body draws an id too.
  void insert_with_gaps(int count, const std::string& routing_key = "q",
                        const std::string& key = "") {
    ask("INSERT INTO outbox.messages (routing_key, ordering_key, payload) SELECT '" + routing_key +
        "', nullif('" + key +
        "', ''), nextval('outbox.messages_id_seq')::text FROM generate_series(1, " +
        std::to_string(count) + ") RETURNING id");
  }

  bool queued(std::uint32_t count) {
    return eventually(30s, [&] { return broker.queue("q")->messages >= count; });
  }
};

// More gaps than are remembered one by one, and a writer in three of them.
TEST_F(commits, late_rows_are_found_among_thousands_of_gaps) {
  const auto relay = start_ready(db.url());
  std::vector<std::unique_ptr<open_transaction>> late;
  for (int n = 0; n < 3; ++n) {
    late.push_back(std::make_unique<open_transaction>(db.url(), "late" + std::to_string(n)));
    insert_with_gaps(3'000);
  }
  ASSERT_TRUE(queued(9'000)) << relay->log();
  std::uint32_t count = 9'000;
  for (auto& writer : late) {
    insert_with_gaps(10);
    ASSERT_TRUE(queued(count += 10)) << "what is new waits for what is late\n" << relay->log();
    writer->tx.commit();
    ASSERT_TRUE(queued(++count)) << "a late row was lost in its gap\n" << relay->log();
  }
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.duplicates, 0u);
}

// Rows behind a hold lie inside of gaps that were merged, and come with every look into them.
TEST_F(commits, rows_behind_a_hold_in_merged_gaps_do_not_crowd_out_new_ones) {
  const auto relay =
      start_ready(db.url(), {{"OUTBOX_RETRY_MIN", "5m"}, {"OUTBOX_RETRY_MAX", "5m"}});
  open_transaction late(db.url(), "late");
  insert(1, "nowhere", "held");
  ASSERT_TRUE(
      eventually(20s, [&] { return number("SELECT max(attempts) FROM outbox.messages") == 1; }));
  insert_with_gaps(4'000, "q", "held");
  insert_with_gaps(2'000);
  ASSERT_TRUE(queued(2'000)) << relay->log();
  for (std::uint32_t n = 1; n <= 3; ++n) {
    insert(20);
    ASSERT_TRUE(queued(2'000 + n * 20)) << "new rows are crowded out\n" << relay->log();
  }
  late.tx.commit();
  ASSERT_TRUE(queued(2'061)) << "the late row was not found\n" << relay->log();
  ask("DELETE FROM outbox.messages WHERE ordering_key = 'held'");
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_EQ(got.rows.size(), 2'061u);
}

// pg_dump, for hours: the index keeps an entry for everything that was sent meanwhile. Counted by
// the server: the entries that were visited. Its sessions tell at their end at the latest.
TEST_F(commits, a_snapshot_that_is_held_does_not_make_reading_dearer) {
  constexpr int sent_before = 20'000, single_rows = 150;
  ask("ALTER TABLE outbox.messages SET (autovacuum_enabled = false)");
  pqxx::connection connection(db.url());
  pqxx::work snapshot(connection);
  snapshot.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  snapshot.exec("SELECT count(*) FROM outbox.messages");
  const auto stop = [&](sidecar& relay) {
    relay.kill(SIGTERM);
    EXPECT_EQ(relay.wait(20s), (exit_status{.code = 0, .signal = 0})) << relay.log();
    EXPECT_TRUE(eventually(20s, [&] {
      return number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sut'") == 0;
    }));
    return std::stod(
        ask("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = "
            "'messages_pending'"));
  };
  const sidecar::settings named{{"OUTBOX_INSTANCE_ID", "sut"}};
  double before = 0;
  {
    const auto relay = start_ready(db.url(), named);
    insert(sent_before);
    ASSERT_TRUE(eventually(60s, [&] { return unsent() == 0; })) << relay->log();
    before = stop(*relay);
  }
  const auto relay = start_ready(db.url(), named);
  for (int n = 1; n <= single_rows; ++n) {
    insert(1);
    ASSERT_TRUE(queued(static_cast<std::uint32_t>(sent_before + n))) << relay->log();
  }
  const std::string count_of = "outbox_db_query_duration_seconds_count{operation=\"";
  const double reads = relay->metric(count_of + "read\"}");
  const double measures = relay->metric(count_of + "measure\"}");
  const double visited = stop(*relay) - before;
  ASSERT_GE(reads, single_rows);
  // From the start twice for each read until the first row is there, mostly two, and once for the
  // gauges. After that everything begins where the last read ended.
  constexpr double whole_index = sent_before + single_rows;
  EXPECT_LT(visited, 8 * whole_index + (reads + measures) * 50);
  std::printf("%.0f reads and %.0f measures visited %.0f index entries\n", reads, measures,
              visited);
  snapshot.commit();
  EXPECT_EQ(unsent(), 0);
}

// A relay that waited for the oldest transaction of the cluster would wait for this one. The gap
// that it leaves open is of another transaction, which rolls back.
TEST_F(commits, a_write_transaction_elsewhere_delays_nothing) {
  pqxx::connection elsewhere(shared_postgres().create_database());
  pqxx::work writes(elsewhere);
  writes.exec("CREATE TABLE t AS SELECT 1");
  pqxx::connection here(db.url());
  pqxx::work also_writes(here);
  also_writes.exec("CREATE TABLE t AS SELECT 1");
  const auto relay = start_ready(db.url());
  for (int n = 1; n <= 20; ++n) {
    { open_transaction undone(db.url(), "undone"); }
    insert(1, "q", "k");
    ASSERT_TRUE(queued(static_cast<std::uint32_t>(n))) << relay->log();
  }
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.rows.size(), 20u);
}

// With poll nobody notifies, which a prepared transaction may not do.
TEST_F(commits, a_transaction_in_two_phases_is_delivered_when_it_is_committed_and_never_otherwise) {
  const auto relay =
      start_ready(db.url(), {{"OUTBOX_WAKE", "poll"}, {"OUTBOX_POLL_INTERVAL", "50ms"}});
  for (const std::string name : {"kept", "undone"}) {
    pqxx::connection connection(db.url());
    pqxx::nontransaction tx(connection);
    tx.exec("BEGIN");
    tx.exec("INSERT INTO outbox.messages (routing_key, ordering_key, payload) VALUES ('q', 'k', '" +
            name + "')");
    tx.exec("PREPARE TRANSACTION '" + name + "'");
  }
  insert(20, "q", "other");
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; })) << relay->log();
  EXPECT_EQ(broker.queue("q")->messages, 20u);
  // It survives both sides.
  relay->kill(SIGKILL);
  shared_postgres().stop(stop_mode::immediate);
  shared_postgres().start();
  const auto next =
      start_ready(db.url(), {{"OUTBOX_WAKE", "poll"}, {"OUTBOX_POLL_INTERVAL", "50ms"}});
  insert(20, "q", "other");
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; }));
  ask("COMMIT PREPARED 'kept'");
  ask("ROLLBACK PREPARED 'undone'");
  insert(1);
  expect_everything_delivered(*next);
  std::set<std::string> bodies;
  for (const auto& [id, row] : got.rows) bodies.insert(row.body);
  EXPECT_TRUE(bodies.contains("kept"));
  EXPECT_FALSE(bodies.contains("undone"));
}

TEST_F(commits, copy_and_statements_of_many_rows_and_savepoints_are_delivered_as_committed) {
  const auto relay = start_ready(db.url());
  pqxx::connection connection(db.url());
  {
    pqxx::work tx(connection);
    tx.exec(
        "INSERT INTO outbox.messages (routing_key, ordering_key, payload) SELECT 'q', 'k', 'i' || "
        "n "
        "FROM generate_series(1, 500) AS n");
    tx.exec("SAVEPOINT a");
    tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'undone')");
    tx.exec("SAVEPOINT b");
    tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'undone too')");
    tx.exec("RELEASE b");
    tx.exec("ROLLBACK TO a");
    tx.exec(
        "INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'kept'), ('q', 'too')");
    tx.commit();
  }
  std::string lines;
  for (int n = 1; n <= 500; ++n) lines += "q\tk\tc" + std::to_string(n) + "\n";
  sql_session copying(db.url());
  ASSERT_TRUE(
      copying.copy_in("COPY outbox.messages (routing_key, ordering_key, payload) FROM STDIN", lines)
          .ok());
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.rows.size(), 1'002u);
}

}  // namespace
}  // namespace outboxd::tests
