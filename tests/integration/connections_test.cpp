// Connections to the broker that end, hang, or cannot be made: the relay stays, and goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_world.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

class connections : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  void expect_all(std::size_t rows) {
    ASSERT_TRUE(all_sent_within(60s)) << relay->log();
    const auto got = take_all(amqp_url, "q");
    EXPECT_EQ(got.ids.size(), rows);
    EXPECT_THAT(got.out_of_order, IsEmpty());
  }
};

TEST_F(connections, nodes_that_do_not_answer_or_have_no_address_are_passed_over) {
  relay = std::make_unique<sidecar>(
      db.url(), "amqp://guest:guest@127.0.0.1:1/," +
                    std::string("amqp://guest:guest@nowhere.invalid/,") + gate.through(amqp_url));
  relay->await_ready();
  insert(100, {.ordering_key = "'k'"});
  expect_all(100);
  gate.reset();
  insert(100, {.ordering_key = "'k'"});
  expect_all(100);
}

// No FIN, no RST, no answer: only heartbeats tell.
TEST_F(connections, a_connection_that_hangs_is_given_up_and_its_rows_go_by_another) {
  relay = std::make_unique<sidecar>(db.url(), gate.through(amqp_url) + "?heartbeat=2");
  relay->await_ready();
  gate.stall(direction::both);
  insert(200, {.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' END"});
  ASSERT_TRUE(eventually(30s, [&] { return relay->logged("amqp.disconnected"); })) << relay->log();
  gate.pass();
  expect_all(200);
}

// One that takes and says nothing: the way back hangs.
TEST_F(connections, a_connection_whose_answers_are_lost_is_given_up) {
  relay = std::make_unique<sidecar>(db.url(), gate.through(amqp_url) + "?heartbeat=2");
  relay->await_ready();
  gate.stall(direction::to_client);
  insert(200, {.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' END"});
  ASSERT_TRUE(eventually(30s, [&] { return relay->logged("amqp.disconnected"); })) << relay->log();
  gate.pass();
  expect_all(200);
}

// What the broker was told to make survives a kill only once its own log is on the disk.
TEST_F(connections, a_killed_broker_that_comes_back_gets_the_rest) {
  shared_rabbitmq().ctl({"eval", "mnesia:sync_log()."});
  start();
  insert(20'000, {.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 100 END"});
  ASSERT_TRUE(
      eventually(60s, [&] { return relay->metric("outbox_messages_confirmed_total") >= 1'000; }));
  shared_rabbitmq().kill();
  EXPECT_TRUE(eventually(30s, [&] { return relay->metric("outbox_broker_connected") == 0; }));
  EXPECT_TRUE(relay->running());
  shared_rabbitmq().start();
  broker = amqp_probe(amqp_url);
  expect_all(20'000);
}

}  // namespace
}  // namespace outboxd::tests
