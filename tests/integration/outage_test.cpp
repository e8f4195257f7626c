// The broker or the database goes away, or has no place for a row: rows wait, and go out by
// themselves when it is mended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class outage : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  outage() { relay.await_ready(); }

  void insert(int count, const std::string& routing_key = "q", const std::string& key = "") {
    db.run("INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload) SELECT '" +
           routing_key + "', nullif('" + key + "', ''), n::text FROM generate_series(1, " +
           std::to_string(count) + ") AS n");
  }

  std::string count(const std::string& status) {
    return db.value("SELECT count(*) FROM \"outbox\".messages WHERE status = '" + status + "'");
  }

  // The bodies in the order in which they came first.
  std::vector<std::string> first_deliveries(amqp_probe& broker, std::size_t expected) {
    std::vector<std::string> bodies;
    std::set<std::string> seen;
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (seen.size() < expected && std::chrono::steady_clock::now() < give_up) {
      for (const auto& m : broker.get_many("q", 1, 1s)) {
        if (seen.insert(m.properties.message_id.value()).second) bodies.push_back(m.body);
      }
    }
    return bodies;
  }

  static std::vector<std::string> numbers(int count) {
    std::vector<std::string> all;
    for (int n = 1; n <= count; ++n) all.push_back(std::to_string(n));
    return all;
  }

  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  sidecar relay{db.url(), amqp_url};
};

TEST_F(outage, an_unroutable_row_is_never_sent_and_goes_out_once_a_queue_is_there) {
  insert(1);
  ASSERT_TRUE(eventually(30s, [&] {
    return std::stoi(db.value("SELECT max(attempts) FROM \"outbox\".messages")) >= 3;
  })) << relay.log();
  EXPECT_EQ(count("deferred"), "1");
  EXPECT_THAT(db.value("SELECT last_error FROM \"outbox\".messages"), HasSubstr("312"));
  EXPECT_GE(relay.metric("outbox_messages_failed_total{reason=\"returned\"}"), 3);
  EXPECT_EQ(relay.metric("outbox_messages_confirmed_total"), 0);

  amqp_probe broker(amqp_url);
  broker.declare_queue("q");
  EXPECT_EQ(broker.get_many("q", 1, 30s).size(), 1u);
  EXPECT_TRUE(eventually(30s, [&] { return count("sent") == "1"; }));
}

TEST_F(outage, a_missing_exchange_stops_only_its_own_rows_until_it_is_declared) {
  amqp_probe broker(amqp_url);
  broker.declare_queue("q");
  db.run(
      "INSERT INTO \"outbox\".messages (exchange, routing_key, payload) VALUES ('later', 'q', "
      "'waits')");
  insert(100);
  EXPECT_EQ(broker.get_many("q", 100, 20s).size(), 100u);
  EXPECT_TRUE(eventually(30s, [&] { return count("deferred") == "1"; }));
  EXPECT_GE(relay.metric("outbox_messages_failed_total{reason=\"no_exchange\"}"), 1);

  broker.declare_exchange("later", "direct");
  broker.bind("q", "later", "q");
  const auto all = broker.get_many("q", 1, 20s);
  ASSERT_EQ(all.size(), 1u) << relay.log();
  EXPECT_EQ(all[0].body, "waits");
}

TEST_F(outage, a_failing_row_holds_back_its_own_key_only_and_the_order_is_kept_when_it_goes) {
  amqp_probe broker(amqp_url);
  broker.declare_queue("q");
  insert(1, "missing", "k");
  insert(50, "q", "k");
  insert(50, "q", "other");
  EXPECT_EQ(broker.get_many("q", 50, 20s).size(), 50u) << "the other key must not wait";
  EXPECT_EQ(broker.get("q"), std::nullopt) << "the key of the failed row must wait";
  EXPECT_TRUE(eventually(20s, [&] { return relay.metric("outbox_held_keys") == 1; }));

  broker.declare_queue("missing");
  EXPECT_EQ(broker.get_many("missing", 1, 20s).size(), 1u);
  EXPECT_EQ(first_deliveries(broker, 50), numbers(50));
  EXPECT_TRUE(eventually(30s, [&] { return relay.metric("outbox_held_keys") == 0; }));
}

TEST_F(outage, rows_written_while_the_broker_is_down_are_delivered_when_it_is_back) {
  { amqp_probe(amqp_url).declare_queue("q"); }
  insert(10, "q", "k");
  EXPECT_TRUE(eventually(20s, [&] { return count("sent") == "10"; }));
  shared_rabbitmq().stop();
  insert(200, "q", "k");
  EXPECT_TRUE(eventually(20s, [&] { return relay.metric("outbox_broker_connected") == 0; }));
  EXPECT_TRUE(relay.running());
  EXPECT_EQ(relay.get("/livez"), "ok\n");
  shared_rabbitmq().start();
  amqp_probe broker(amqp_url);
  EXPECT_EQ(broker.get_many("q", 10, 20s).size(), 10u);
  EXPECT_EQ(first_deliveries(broker, 200), numbers(200));
  EXPECT_EQ(count("dead"), "0");
  EXPECT_EQ(db.value("SELECT max(attempts) FROM \"outbox\".messages"), "0")
      << "an outage burns no attempt";
}

// The reconnect succeeds at once: what was in doubt must not be published on the connection that is
// going away.
TEST_F(outage, connections_closed_by_an_operator_in_the_middle_of_a_backlog_lose_nothing) {
  amqp_probe broker(amqp_url);
  broker.declare_queue("q");
  insert(30'000);
  for (const double goal : {1'000.0, 10'000.0}) {
    ASSERT_TRUE(
        eventually(60s, [&] { return relay.metric("outbox_messages_confirmed_total") >= goal; }));
    shared_rabbitmq().ctl({"close_all_connections", "--global", "maintenance"});
  }
  EXPECT_TRUE(eventually(60s, [&] { return count("sent") == "30000"; }))
      << count("pending")
      << " are stuck, unconfirmed: " << relay.metric("outbox_unconfirmed_messages");
  EXPECT_GE(amqp_probe(amqp_url).queue("q")->messages, 30'000u);
}

TEST_F(outage, a_database_that_is_stopped_and_started_loses_nothing_and_marks_follow) {
  amqp_probe broker(amqp_url);
  broker.declare_queue("q");
  insert(20, "q", "k");
  EXPECT_TRUE(eventually(20s, [&] { return count("sent") == "20"; }));
  for (const auto mode : {stop_mode::fast, stop_mode::immediate}) {
    shared_postgres().stop(mode);
    EXPECT_TRUE(eventually(20s, [&] { return relay.metric("outbox_leader") == 0; })) << relay.log();
    EXPECT_TRUE(relay.running());
    shared_postgres().start();
    relay.await_ready();
  }
  pqxx::connection again(db.url());
  pqxx::nontransaction tx(again);
  tx.exec(
      "INSERT INTO outbox.messages (routing_key, ordering_key, payload) "
      "SELECT 'q', 'k', n::text FROM generate_series(21, 60) AS n");
  EXPECT_EQ(first_deliveries(broker, 60), numbers(60)) << relay.log();
  EXPECT_TRUE(eventually(20s, [&] {
    return tx.exec("SELECT count(*) FROM outbox.messages WHERE status = 'sent'")[0][0].as<int>() ==
           60;
  }));
}

TEST_F(outage, it_waits_for_a_schema_that_is_not_there_yet_and_says_so) {
  const std::string bare = shared_postgres().create_database();
  sidecar waiting(bare, amqp_url);
  EXPECT_TRUE(eventually(20s, [&] {
    return waiting.log().find("outboxd migrate") != std::string::npos;
  })) << waiting.log();
  EXPECT_THAT(waiting.get("/readyz?verbose"), HasSubstr("outboxd migrate"));
  run({.argv = {OUTBOXD_BINARY, "migrate", "up"}, .env = {{"OUTBOX_DATABASE_URL", bare}}});
  EXPECT_NO_THROW(waiting.await_ready());
}

TEST_F(outage, the_broker_may_come_later_than_the_relay) {
  relay.kill(SIGKILL);
  shared_rabbitmq().stop();
  sidecar early(db.url(), amqp_url);
  EXPECT_TRUE(eventually(20s, [&] { return early.logged("amqp.connect_failed"); })) << early.log();
  shared_rabbitmq().start();
  EXPECT_NO_THROW(early.await_ready());
}

}  // namespace
}  // namespace outboxd::tests
