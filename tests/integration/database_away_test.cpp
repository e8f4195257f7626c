// The database is killed, stopped or will not be written to, while the broker lives: what was
// confirmed is remembered and written down first, what a crash forgot is published again, and ids
// that a crash hands out twice confuse nobody.
#include <signal.h>

#include <algorithm>
#include <cstdlib>

#include "tests/integration/database_fault.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;

class database_away : public database_fault {
 protected:
  // What is unconfirmed, and acknowledged but not yet written; see window and marks_at_once.
  static constexpr std::size_t in_flight_and_unmarked = 2'048 + 5'000;

  // Settings of the server, for one test.
  class server_setting {
   public:
    server_setting(database_away& test, std::vector<std::string> settings)
        : test_(test), settings_(std::move(settings)) {
      for (const auto& s : settings_) test_.ask("ALTER SYSTEM SET " + s);
      test_.ask("SELECT pg_reload_conf()");
    }
    ~server_setting() {
      pqxx::connection connection(shared_postgres().uri("postgres"));
      pqxx::nontransaction tx(connection);
      tx.exec("SET default_transaction_read_only = off");
      for (const auto& s : settings_) tx.exec("ALTER SYSTEM RESET " + s.substr(0, s.find(' ')));
      tx.exec("SELECT pg_reload_conf()");
    }
    server_setting(const server_setting&) = delete;
    server_setting& operator=(const server_setting&) = delete;

   private:
    database_away& test_;
    const std::vector<std::string> settings_;
  };
};

// With OUTBOXD_TEST_SCALE=full, for a minute.
TEST_F(database_away, killed_under_load_it_costs_the_marks_of_its_last_second_and_no_memory) {
  const char* scale = std::getenv("OUTBOXD_TEST_SCALE");
  const auto outage = scale != nullptr && std::string(scale) == "full" ? 60s : 2s;
  const auto relay = start_ready(db.url());
  writers load(db.url());
  ASSERT_TRUE(
      eventually(30s, [&] { return relay->metric("outbox_messages_confirmed_total") >= 1'000; }));
  // As a sudden death of the host: no checkpoint, no last flush.
  shared_postgres().kill();
  const double marked_in_its_last_second = relay->metric("outbox_messages_confirmed_total");
  ASSERT_TRUE(eventually(20s, [&] {
    return relay->metric("outbox_leader") == 0 && relay->metric("outbox_unconfirmed_messages") == 0;
  })) << relay->log();
  const auto before = relay->resident_bytes();
  auto most = before;
  const auto back = std::chrono::steady_clock::now() + outage;
  eventually(outage + 10s, [&] {
    most = std::max(most, relay->resident_bytes());
    return std::chrono::steady_clock::now() >= back;
  });
  EXPECT_LT(most, before + (16u << 20)) << "memory grows while the database is away";
  EXPECT_THAT(relay->get("/readyz?verbose"), HasSubstr("database"));
  EXPECT_EQ(relay->get("/livez"), "ok\n");

  shared_postgres().start();
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_leader") == 1; })) << relay->log();
  const auto written_since = load.committed();
  EXPECT_TRUE(eventually(30s, [&] { return load.committed() > written_since + 200; }));
  expect_everything_delivered(*relay, &load);
  EXPECT_TRUE(relay->running());
  EXPECT_LE(got.duplicates, std::min<double>(marked_in_its_last_second, in_flight_and_unmarked));
  std::printf("%zu duplicates after a crash of the database, RSS %zu MB\n", got.duplicates,
              most >> 20);
}

// Here the database forgets nothing, so any duplicate would be of our making.
TEST_F(database_away, acks_that_arrive_meanwhile_are_kept_and_nothing_is_published_again) {
  tcp_gate database(shared_postgres().port()), rabbit(shared_rabbitmq().port());
  sidecar relay(database.through(db.url()), rabbit.through(amqp_url));
  relay.await_ready();
  rabbit.stall(direction::to_client);
  insert(500);
  insert(5, "q", "k");
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 501; }));
  database.refuse();
  database.reset();
  ASSERT_TRUE(eventually(20s, [&] { return relay.metric("outbox_leader") == 0; }));
  rabbit.pass();
  ASSERT_TRUE(
      eventually(20s, [&] { return relay.metric("outbox_messages_confirmed_total") == 501; }));
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE status = 'sent'"), 0);
  database.pass();
  expect_everything_delivered(relay);
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_EQ(relay.metric("outbox_messages_published_total"), 505);
}

// Commits that do not wait for the disk, and a crash before they got there: the sequence goes back,
// and the same ids come again for other rows, below what the relay has read already. The process
// that writes the log is stopped, which is a wal_writer_delay that the crash always beats. No
// session waits, not even the relay's, because whoever does takes all commits before its own to the
// disk.
TEST_F(database_away, ids_that_a_crash_hands_out_again_are_new_rows_and_none_is_skipped) {
  const server_setting nobody_waits(*this, {"synchronous_commit = off"});
  const auto relay = start_ready(db.url());
  writers load(db.url(), 3);
  int highest = 0;
  for (int crash = 0; crash < 2; ++crash) {
    const auto confirmed = [&](double more) {
      const double goal = relay->metric("outbox_messages_confirmed_total") + more;
      return eventually(30s,
                        [&] { return relay->metric("outbox_messages_confirmed_total") >= goal; });
    };
    ASSERT_TRUE(confirmed(300)) << relay->log();
    const auto log_writer =
        number("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'");
    ASSERT_EQ(::kill(log_writer, SIGSTOP), 0);
    ASSERT_TRUE(confirmed(300)) << relay->log();
    highest = std::max(highest, number("SELECT max(id) FROM outbox.messages"));
    shared_postgres().kill();
    shared_postgres().start();
  }
  ASSERT_TRUE(
      eventually(30s, [&] { return number("SELECT max(id) FROM outbox.messages") > highest; }));
  ids_came_twice = true;
  expect_everything_delivered(*relay, &load);
  EXPECT_TRUE(relay->running());

  pqxx::connection connection(db.url());
  pqxx::nontransaction tx(connection);
  std::map<std::int64_t, std::string> there;
  for (const auto& row : tx.exec("SELECT id, message_id FROM outbox.messages"))
    there[row[0].as<std::int64_t>()] = row[1].c_str();
  int issued_twice = 0;
  for (const auto& [message_id, row] : got.rows)
    issued_twice += there.contains(row.id) && there[row.id] != message_id ? 1 : 0;
  EXPECT_GT(issued_twice, 0) << "the crash forgot nothing";
}

TEST_F(database_away, a_server_that_only_reads_is_left_and_taken_again_once_it_writes) {
  const auto relay = start_ready(db.url());
  {
    const server_setting read_only(*this, {"default_transaction_read_only = on"});
    ASSERT_TRUE(eventually(30s, [&] { return ask("SHOW transaction_read_only") == "on"; }));
    pqxx::connection writer(db.url());
    pqxx::nontransaction tx(writer);
    tx.exec("SET default_transaction_read_only = off");
    tx.exec(
        "INSERT INTO outbox.messages (routing_key, payload) SELECT 'q', 'n' || n FROM "
        "generate_series(1, 100) AS n");
    ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 100; }));
    ASSERT_TRUE(eventually(
        20s, [&] { return relay->get("/readyz?verbose").find("read-only") != std::string::npos; }))
        << relay->get("/readyz?verbose") << relay->log();
    EXPECT_EQ(unsent(), 100);
  }
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_TRUE(relay->running());
}

}  // namespace
}  // namespace outboxd::tests
