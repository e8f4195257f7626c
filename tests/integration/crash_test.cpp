// The sidecar is killed between any two steps, and stopped in the middle of its work: nothing is
// lost, the order of each key holds at first delivery, and duplicates come only from a crash. Gates
// before the broker and the database hold the world still at the step in question.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

class crash : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  crash() { broker.declare_queue("q"); }

  std::unique_ptr<sidecar> start(const sidecar::settings& more = {}) {
    return std::make_unique<sidecar>(db_through_gate, amqp_through_gate, more);
  }

  std::unique_ptr<sidecar> start_ready(const sidecar::settings& more = {}) {
    auto relay = start(more);
    relay->await_ready();
    return relay;
  }

  // n rows of one key and n without.
  void insert(int n) {
    db.run(
        "INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload) SELECT 'q', k, "
        "n::text FROM "
        "generate_series(1, " +
        std::to_string(n) + ") AS n CROSS JOIN (VALUES ('k'), (NULL)) AS keys (k)");
  }

  std::size_t queued() { return broker.queue("q")->messages; }

  // Takes everything that is in the queue once every row is marked sent, and looks at the promises.
  void expect_everything_delivered_in_order() {
    ASSERT_TRUE(eventually(60s, [&] {
      return db.value("SELECT count(*) FROM \"outbox\".messages WHERE status <> 'sent'") == "0";
    })) << "rows are stuck";
    std::set<std::string> seen;
    std::map<std::string, std::int64_t> last;
    duplicates = 0;
    while (const auto m = broker.get("q")) {
      if (!seen.insert(m->properties.message_id.value()).second) {
        ++duplicates;
        continue;
      }
      const auto key = m->header("x-outbox-key");
      if (!key) continue;
      const auto id = std::get<std::int64_t>(m->header("x-outbox-id")->value);
      auto& before = last[std::get<std::string>(key->value)];
      EXPECT_LT(before, id) << "out of order";
      before = id;
    }
    EXPECT_EQ(std::to_string(seen.size()), db.value("SELECT count(*) FROM \"outbox\".messages"))
        << "lost or invented";
  }

  std::size_t duplicates = 0;
  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  tcp_gate broker_gate{shared_rabbitmq().port()};
  tcp_gate database_gate{shared_postgres().port()};
  const std::string amqp_through_gate = broker_gate.through(amqp_url);
  const std::string db_through_gate = database_gate.through(db.url());
  amqp_probe broker{amqp_url};
};

TEST_F(crash, after_the_rows_were_fetched) {
  broker_gate.refuse();
  insert(50);
  auto relay = start();
  ASSERT_TRUE(eventually(20s, [&] {
    return relay->get("/metrics").find("outbox_batch_messages_sum 100") != std::string::npos;
  })) << relay->log();
  relay->kill(SIGKILL);
  broker_gate.pass();
  relay = start_ready();
  expect_everything_delivered_in_order();
  EXPECT_EQ(duplicates, 0u);
}

TEST_F(crash, after_they_were_written_to_the_socket) {
  auto relay = start_ready();
  broker_gate.stall(direction::to_client);
  insert(50);
  ASSERT_TRUE(eventually(20s, [&] { return queued() >= 51; }))
      << "fifty without a key, and one of the key";
  relay->kill(SIGKILL);
  broker_gate.pass();
  relay = start_ready();
  expect_everything_delivered_in_order();
  EXPECT_EQ(duplicates, 51u) << "what was in flight, and nothing else";
}

TEST_F(crash, after_the_ack_and_before_the_mark) {
  auto relay = start_ready();
  pqxx::connection blocker(db.url());
  broker_gate.stall(direction::to_client);
  insert(50);
  pqxx::work rows(blocker);
  rows.exec("SELECT FROM outbox.messages WHERE status = 'pending' FOR UPDATE");
  broker_gate.pass();
  ASSERT_TRUE(eventually(20s, [&] {
    return relay->metric("outbox_messages_confirmed_total") == 100;
  })) << relay->log();
  relay->kill(SIGKILL);
  // The statement that waits for our lock would be carried out although nobody is left to hear of
  // it.
  const std::string mine = rows.exec("SELECT pg_backend_pid()")[0][0].c_str();
  const std::string of_relay =
      " FROM pg_stat_activity WHERE datname = current_database() AND pid NOT IN "
      "(pg_backend_pid(), " +
      mine + ")";
  db.run("SELECT pg_terminate_backend(pid)" + of_relay);
  ASSERT_TRUE(eventually(20s, [&] { return db.value("SELECT count(*)" + of_relay) == "0"; }));
  rows.abort();
  relay = start_ready();
  ASSERT_TRUE(eventually(60s, [&] {
    return db.value("SELECT count(*) FROM \"outbox\".messages WHERE status <> 'sent'") == "0";
  }));
  EXPECT_EQ(queued(), 200u) << "every row twice: none was marked";
}

// The writers are never far ahead of the relay, however slow it is here: whatever they leave behind
// goes out key by key.
TEST_F(crash, at_any_time_under_load) {
  constexpr int far_ahead = 500, rows_at_once = 5;
  constexpr unsigned clients = 4, unsent_at_most = far_ahead + clients * rows_at_once;
  std::atomic<bool> writing{true};
  std::vector<std::thread> writers;
  for (unsigned w = 0; w < clients; ++w) {
    writers.emplace_back([&, w] {
      std::mt19937 engine(w);
      pqxx::connection connection(db.url());
      const auto may_go_on = [&] {
        pqxx::nontransaction tx(connection);
        const auto waiting = tx.exec(
            "SELECT count(*) FROM (SELECT FROM outbox.messages WHERE status = 'pending' LIMIT " +
            std::to_string(far_ahead) + ") AS waiting");
        return !writing || waiting[0][0].as<int>() < far_ahead;
      };
      while (eventually(5min, may_go_on) && writing) {
        pqxx::work tx(connection);
        for (int i = 0; i < rows_at_once; ++i) {
          tx.exec("SELECT outbox.publish('', 'q', 'x', ordering_key => 'k" + std::to_string(w) +
                  "')");
        }
        if (engine() % 5 == 0) {
          tx.abort();
        } else {
          tx.commit();
        }
      }
    });
  }
  std::mt19937 engine(1);
  for (int round = 0; round < 8; ++round) {
    auto relay = start_ready();
    const double goal = 1 + static_cast<double>(engine() % 300);
    EXPECT_TRUE(
        eventually(30s, [&] { return relay->metric("outbox_messages_confirmed_total") >= goal; }));
    relay->kill(SIGKILL);
  }
  writing = false;
  for (auto& t : writers) t.join();
  const auto last = start_ready();
  expect_everything_delivered_in_order();
  EXPECT_LE(duplicates, 8u * unsent_at_most);
}

TEST_F(crash, a_stop_in_the_middle_of_the_work_is_none) {
  db.run(
      "INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload) SELECT 'q', 'k' || n % "
      "7, n::text FROM "
      "generate_series(1, " +
      std::to_string(scaled_rows(20'000, 20'000)) + ") AS n");
  for (int round = 0; round < 3; ++round) {
    auto relay = start_ready();
    EXPECT_TRUE(
        eventually(20s, [&] { return relay->metric("outbox_messages_confirmed_total") >= 100; }));
    relay->kill(SIGTERM);
    EXPECT_EQ(relay->wait(20s), (exit_status{.code = 0, .signal = 0})) << relay->log();
  }
  const auto last = start_ready();
  expect_everything_delivered_in_order();
  EXPECT_EQ(duplicates, 0u);
}

TEST_F(crash, a_stop_that_cannot_be_clean_says_so_after_its_time) {
  auto relay = start_ready({{"OUTBOX_SHUTDOWN_TIMEOUT", "500ms"}});
  broker_gate.stall(direction::to_client);
  insert(5);
  ASSERT_TRUE(eventually(20s, [&] { return queued() >= 6; }));
  relay->kill(SIGTERM);
  EXPECT_EQ(relay->wait(20s), (exit_status{.code = 75, .signal = 0})) << relay->log();
}

TEST_F(crash, a_second_signal_ends_it_at_once) {
  auto relay = start_ready({{"OUTBOX_SHUTDOWN_TIMEOUT", "5m"}});
  broker_gate.stall(direction::to_client);
  insert(5);
  ASSERT_TRUE(eventually(20s, [&] { return queued() >= 6; }));
  relay->kill(SIGTERM);
  ASSERT_TRUE(eventually(30s, [&] { return relay->logged("relay.draining"); }));
  EXPECT_TRUE(relay->running());
  relay->kill(SIGTERM);
  EXPECT_EQ(relay->wait(20s), (exit_status{.code = 75, .signal = 0})) << relay->log();
}

// What a crashed database does when it forgets its last commits: the same id, another message.
TEST_F(crash, a_row_whose_id_was_issued_again_is_not_settled_by_the_ack_of_the_old_one) {
  const auto relay = start_ready();
  broker_gate.stall(direction::to_client);
  db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', 'old')");
  ASSERT_TRUE(eventually(20s, [&] { return queued() == 1; }));
  database_gate.refuse();
  database_gate.cut();
  ASSERT_TRUE(eventually(20s, [&] { return relay->metric("outbox_leader") == 0; }));
  db.run("DELETE FROM \"outbox\".messages WHERE id = 1");
  db.run("INSERT INTO \"outbox\".messages (id, routing_key, payload) VALUES (1, 'q', 'new')");
  broker_gate.pass();
  ASSERT_TRUE(
      eventually(20s, [&] { return relay->metric("outbox_messages_confirmed_total") == 1; }));
  database_gate.pass();
  EXPECT_TRUE(eventually(20s, [&] { return queued() == 2; }))
      << "the new row was taken for the old one";
  EXPECT_EQ(broker.get("q")->body, "old");
  EXPECT_EQ(broker.get("q")->body, "new");
  EXPECT_TRUE(eventually(
      20s, [&] { return db.value("SELECT status FROM \"outbox\".messages") == "sent"; }));
}

}  // namespace
}  // namespace outboxd::tests
