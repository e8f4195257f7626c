// Three brokers, one quorum queue: nodes stop, die, are drained and cut off, and leaders move,
// under load. outboxd goes on with those that can confirm, is never restarted, and loses nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/rabbitmq_cluster.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/sidecar.hpp"
#include "tests/support/traffic.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

class cluster : public testing::Test {
 protected:
  cluster() { brokers.declare_quorum_queue("q"); }

  void start_relay() {
    relay.emplace(db.url(), brokers.urls(), sidecar::settings{{"OUTBOX_CONFIRM_TIMEOUT", "5s"}});
    relay->await_ready();
    load.emplace(db.url(), 3);
  }

  double confirmed() const { return relay->metric("outbox_messages_confirmed_total"); }

  // Whatever was done to the cluster, it goes on confirming.
  void expect_progress(const std::string& after) {
    const double before = confirmed();
    EXPECT_TRUE(eventually(60s, [&] { return confirmed() >= before + 200; }))
        << after << "\n"
        << relay->get("/readyz?verbose") << relay->log();
  }

  void expect_everything_delivered(int asked) {
    load->stop();
    ASSERT_TRUE(eventually(
        90s,
        [&] {
          return db.value("SELECT count(*) FROM outbox.messages WHERE status <> 'sent'") == "0";
        }))
        << relay->get("/readyz?verbose") << relay->log();
    deliveries got;
    got.consume_all(brokers.url(asked), "q");
    EXPECT_THAT(got.out_of_order, IsEmpty());
    EXPECT_THAT(got.two_bodies, IsEmpty());
    std::size_t lost = 0;
    for (const auto& row : db.run("SELECT message_id FROM outbox.messages"))
      lost += got.rows.contains(row[0].c_str()) ? 0 : 1;
    EXPECT_EQ(lost, 0u) << "of " << got.rows.size();
    for (const auto& [id, row] : got.rows)
      EXPECT_FALSE(load->rolled_back().contains(row.body)) << "rolled back: " << row.body;
    std::printf("%zu rows, %zu duplicates\n", got.rows.size(), got.duplicates);
    EXPECT_TRUE(relay->running());
  }

  rabbitmq_cluster brokers;
  outbox_database db;
  std::optional<sidecar> relay;
  std::optional<writers> load;
};

TEST_F(cluster, a_node_that_is_dead_from_the_start_is_passed_over) {
  brokers.kill(1);
  start_relay();
  expect_progress("the start");
  expect_everything_delivered(0);
}

// Of three nodes two, one after the other; at full scale each of them, five times.
TEST_F(cluster, each_node_may_stop_or_die) {
  start_relay();
  const int rounds = scaled(1, 5);
  const auto stops = [](int node) { return full_scale() || node == 0; };
  const auto dies = [](int node) { return full_scale() || node == 1; };
  for (int n = 0; n < rounds * rabbitmq_cluster::nodes; ++n) {
    const int node = n % rabbitmq_cluster::nodes;
    if (stops(node)) {
      brokers.stop(node);
      expect_progress("node " + std::to_string(node) + " stopped");
      brokers.start(node);
      expect_progress("node " + std::to_string(node) + " came back");
      brokers.await_members("q");
    }
    if (dies(node)) {
      brokers.kill(node);
      expect_progress("node " + std::to_string(node) + " was killed");
      brokers.start(node);
      brokers.await_members("q");
    }
  }
  expect_everything_delivered(0);
}

// RabbitMQ 3.10: its first publish to the queue is nacked, and so is every other, until that node
// is back; not so those of a new channel.
TEST_F(cluster, a_channel_that_asks_a_leader_that_is_gone_is_opened_anew) {
  brokers.move_leader("q", 0);
  brokers.stop(0);
  ASSERT_TRUE(eventually(60s, [&] { return brokers.leader_of("q", 1) > 0; }));
  relay.emplace(db.url(), brokers.urls());
  relay->await_ready();
  brokers.pretend_leader("q", 1, 0);
  load.emplace(db.url(), 3);
  ASSERT_TRUE(eventually(30s, [&] {
    return relay->metric(R"(outbox_messages_failed_total{reason="nacked"})") > 0;
  })) << relay->log();
  expect_progress("the other leads");
  EXPECT_THAT(relay->log(), HasSubstr("amqp.channel_renewed"));
  EXPECT_EQ(relay->metric("outbox_broker_reconnects_total"), 0);
  brokers.start(0);
  expect_everything_delivered(0);
}

TEST_F(cluster, the_queues_leader_may_move) {
  start_relay();
  const int moves = scaled(3, 20);
  for (int move = 0; move < moves; ++move) {
    brokers.move_leader("q", move % rabbitmq_cluster::nodes);
    expect_progress("the leader moved");
  }
  expect_everything_delivered(0);
}

TEST_F(cluster, a_node_may_be_drained_for_maintenance) {
  start_relay();
  brokers.drain(0);
  EXPECT_FALSE(brokers.serves(0));
  expect_progress("node 0 was drained");
  brokers.revive(0);
  EXPECT_TRUE(eventually(30s, [&] { return brokers.serves(0); }));
  expect_everything_delivered(1);
}

// pause_minority: the node that is alone closes its connections and serves nobody.
TEST_F(cluster, a_node_may_be_cut_off) {
  start_relay();
  brokers.move_leader("q", 2);
  brokers.isolate(2);
  EXPECT_TRUE(eventually(60s, [&] { return !brokers.serves(2); }));
  expect_progress("node 2 is alone");
  brokers.heal(2);
  EXPECT_TRUE(eventually(60s, [&] { return brokers.serves(2); }));
  expect_progress("node 2 came back");
  expect_everything_delivered(0);
}

// Nobody can confirm: rows wait, and go when two nodes are there again.
TEST_F(cluster, without_a_majority_rows_wait) {
  start_relay();
  expect_progress("the start");
  brokers.kill(1);
  brokers.kill(2);
  EXPECT_TRUE(eventually(60s, [&] { return !brokers.serves(0); })) << "it should have paused";
  brokers.start(1);
  expect_progress("a majority came back");
  brokers.start(2);
  expect_everything_delivered(0);
}

}  // namespace
}  // namespace outboxd::tests
