// Rows that are given up, what becomes of the rows behind them, and what operators do about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_world.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class dead : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  // A row that is too large for our own limit dies at once; it can be mended by making it smaller.
  sidecar::settings with(const std::string& on_dead) {
    return {{"OUTBOX_ON_DEAD", on_dead},
            {"OUTBOX_MAX_MESSAGE_SIZE", "1000B"},
            {"OUTBOX_POLL_INTERVAL", "200ms"}};
  }

  // Row 1 dies; rows 2 to 5 are behind it.
  void write_a_key_whose_first_row_dies() {
    insert(1, {.ordering_key = "'k'", .payload = "repeat('x', 2000)"});
    insert(4, {.ordering_key = "'k'"});
  }

  // What arrived in the queue, once the relay has done all it will: the row of another key that is
  // written last has been delivered.
  std::vector<std::int64_t> delivered_before_a_witness() {
    insert(1, {.routing_key = "'witness'", .ordering_key = "'other' || gen_random_uuid()"});
    if (!arrive_within(20s, "witness", 1)) ADD_FAILURE() << relay->log();
    broker.purge("witness");
    return take_all(amqp_url, "q").ids;
  }

  std::string state(int id) {
    return db.value(
        "SELECT status || ' ' || coalesce(last_error, '') FROM \"outbox\".messages "
        "WHERE id = " +
        std::to_string(id));
  }
};

TEST_F(dead, the_rows_behind_a_dead_one_go_on_when_so_told) {
  start(with("continue"));
  write_a_key_whose_first_row_dies();
  EXPECT_TRUE(arrive_within(20s, "q", 4)) << relay->log();
  EXPECT_THAT(take_all(amqp_url, "q").ids, ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(state(1), HasSubstr("dead too_large"));
}

TEST_F(dead, the_rows_behind_a_dead_one_wait_for_an_operators_retry_also_after_a_restart) {
  broker.declare_queue("witness");
  start(with("block"));
  write_a_key_whose_first_row_dies();
  ASSERT_TRUE(eventually(20s, [&] { return count("status = 'dead'") == 1; })) << relay->log();
  EXPECT_THAT(delivered_before_a_witness(), ElementsAre());
  relay->kill(SIGKILL);
  start(with("block"));
  EXPECT_THAT(delivered_before_a_witness(), ElementsAre());

  db.run("UPDATE \"outbox\".messages SET payload = 'mended' WHERE id = 1");
  EXPECT_EQ(db.value("SELECT outbox.retry(1)"), "t");
  EXPECT_TRUE(arrive_within(30s, "q", 5)) << relay->log();
  EXPECT_THAT(take_all(amqp_url, "q").ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_TRUE(all_sent_within(30s));
}

TEST_F(dead, the_rows_behind_a_dead_one_go_on_when_an_operator_discards_it) {
  broker.declare_queue("witness");
  start(with("block"));
  write_a_key_whose_first_row_dies();
  ASSERT_TRUE(eventually(20s, [&] { return count("status = 'dead'") == 1; })) << relay->log();
  EXPECT_THAT(delivered_before_a_witness(), ElementsAre());
  EXPECT_EQ(db.value("SELECT outbox.discard(1)"), "t");
  EXPECT_TRUE(arrive_within(30s, "q", 4)) << relay->log();
  EXPECT_THAT(take_all(amqp_url, "q").ids, ElementsAre(2, 3, 4, 5));
}

TEST_F(dead, a_row_that_can_never_route_is_given_up_after_its_time_and_ten_attempts) {
  broker.declare_exchange("by_headers", "headers");
  broker.bind("q", "by_headers", "", {{"for", amqp_value::text("us")}});
  start({{"OUTBOX_GIVE_UP_AFTER", "2s"},
         {"OUTBOX_RETRY_MIN", "20ms"},
         {"OUTBOX_RETRY_MAX", "100ms"}});
  insert(1, {.exchange = "'by_headers'", .headers = "'{\"for\": \"nobody\"}'"});
  EXPECT_TRUE(eventually(60s, [&] {
    // Neighbours that arrive show that the destination works.
    insert(5, {.exchange = "'by_headers'", .headers = "'{\"for\": \"us\"}'"});
    return any("status = 'dead'");
  })) << relay->log();
  EXPECT_THAT(state(1), HasSubstr("dead returned"));
  EXPECT_GE(std::stoi(db.value("SELECT attempts FROM \"outbox\".messages WHERE id = 1")), 10);
  EXPECT_EQ(db.value("SELECT due_at - failing_since >= interval '2s' FROM \"outbox\".messages "
                     "WHERE id = 1"),
            "t");
  EXPECT_TRUE(all_sent_within(30s));
  EXPECT_TRUE(eventually(
      30s, [&] { return relay->metric("outbox_messages_dead_total{reason=\"returned\"}") == 1; }));
}

TEST_F(dead, nothing_is_given_up_while_its_destination_is_held) {
  start({{"OUTBOX_GIVE_UP_AFTER", "1s"},
         {"OUTBOX_RETRY_MIN", "20ms"},
         {"OUTBOX_RETRY_MAX", "100ms"}});
  insert(50, {.routing_key = "'missing'", .ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n END"});
  ASSERT_TRUE(eventually(20s, [&] { return relay->metric("outbox_held_destinations") == 1; }));
  const double before = published();
  // Far more probes than ten for each row that failed, over a much longer time.
  ASSERT_TRUE(eventually(120s, [&] { return published() >= before + 100; })) << relay->log();
  EXPECT_TRUE(eventually(30s, [&] {
    return db.value(
               "SELECT max(clock_timestamp() - failing_since) > interval '3s' FROM "
               "\"outbox\".messages") == "t";
  }));
  EXPECT_EQ(count("status = 'dead'"), 0);
  broker.declare_queue("missing");
  EXPECT_TRUE(all_sent_within(30s)) << relay->log();
  EXPECT_EQ(take_all(amqp_url, "missing").ids.size(), 50u);
}

TEST_F(dead, an_operators_hand_on_rows_in_flight_changes_nothing_for_others) {
  start();
  gate.stall(direction::to_client);
  insert(1, {.ordering_key = "'k'"});
  insert(10);
  insert(1, {.ordering_key = "'k'"});
  ASSERT_TRUE(arrive_within(20s, "q", 11));
  EXPECT_EQ(db.value("SELECT outbox.retry(1)"), "f") << "it is not dead";
  EXPECT_EQ(db.value("SELECT outbox.discard(1)"), "f");
  db.run("DELETE FROM \"outbox\".messages WHERE id IN (1, 2)");
  gate.pass();
  EXPECT_TRUE(arrive_within(20s, "q", 12)) << relay->log();
  EXPECT_TRUE(eventually(20s, [&] { return count("status = 'sent'") == 10; }));
  EXPECT_EQ(count("true"), 10);
}

// Due at once, and in flight, when the operator changes their mind.
TEST_F(dead, a_row_that_was_retried_is_delivered_once_whatever_is_asked_for_next) {
  start(with("continue"));
  insert(1, {.payload = "repeat('x', 2000)"});
  ASSERT_TRUE(eventually(20s, [&] { return count("status = 'dead'") == 1; }));
  db.run("UPDATE \"outbox\".messages SET payload = 'mended' WHERE id = 1");
  gate.stall(direction::to_client);
  EXPECT_EQ(db.value("SELECT outbox.retry(1)"), "t");
  ASSERT_TRUE(arrive_within(20s, "q", 1)) << relay->log();
  EXPECT_EQ(db.value("SELECT outbox.retry(1)"), "f");
  EXPECT_EQ(db.value("SELECT outbox.discard(1)"), "f");
  gate.pass();
  EXPECT_TRUE(eventually(20s, [&] { return count("status = 'sent'") == 1; }));
  EXPECT_EQ(depth("q"), 1u);
}

}  // namespace
}  // namespace outboxd::tests
