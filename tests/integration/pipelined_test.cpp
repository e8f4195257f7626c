// OUTBOX_ORDERING=pipelined: the rows of a key follow each other without waiting for confirms, and
// first deliveries still follow the ids when connections and channels end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_world.hpp"
#include "tests/support/scale.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

constexpr int broker_limit = 100'000;

class pipelined : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() {
    start_shared_servers();
    shared_rabbitmq().limit_message_size(broker_limit);
  }

  const sidecar::settings usual{{"OUTBOX_ORDERING", "pipelined"}};

  double confirmed() { return relay->metric("outbox_messages_confirmed_total"); }

  void expect_all_in_order(int rows, std::size_t most_duplicates) {
    ASSERT_TRUE(all_sent_within(120s)) << relay->log();
    const auto got = take_all(amqp_url, "q");
    EXPECT_EQ(got.ids.size(), static_cast<std::size_t>(rows));
    EXPECT_THAT(got.out_of_order, IsEmpty());
    EXPECT_LE(got.duplicates, most_duplicates);
    std::printf("%d rows, %zu duplicates\n", rows, got.duplicates);
  }
};

TEST_F(pipelined, a_hot_key_keeps_its_order_over_lost_connections) {
  const int rows = scaled_rows(40'000, 400'000);
  insert(rows, {.ordering_key = "'hot'"});
  start(usual);
  int faults = 0;
  for (const double part : {0.1, 0.3, 0.5, 0.7}) {
    ASSERT_TRUE(eventually(60s, [&] { return confirmed() >= part * rows; })) << relay->log();
    if (faults++ % 2 == 0) {
      gate.cut();
    } else {
      gate.reset();
    }
  }
  expect_all_in_order(rows, 4u * 2'048u);
}

TEST_F(pipelined, several_keys_keep_their_order_over_closed_channels) {
  const int rows = scaled_rows(20'000, 200'000);
  insert(rows, {.ordering_key = "'k' || n % 5",
                .payload = "CASE WHEN n % 4001 = 0 THEN repeat('x', " +
                           std::to_string(broker_limit + 1) + ") ELSE n::text END"});
  const int refused = rows / 4001;
  start(usual);
  expect_all_in_order(rows - refused, 4u * 2'048u * static_cast<std::size_t>(refused));
  EXPECT_EQ(count("status = 'dead' AND last_error LIKE 'refused%'"), refused);
}

TEST_F(pipelined, a_row_that_is_returned_holds_back_what_was_not_yet_written) {
  start(usual);
  insert(1, {.routing_key = "'missing'", .ordering_key = "'k'"});
  ASSERT_TRUE(eventually(20s, [&] { return relay->metric("outbox_held_keys") == 1; }));
  insert(50, {.ordering_key = "'k'"});
  insert(50, {.ordering_key = "'other'"});
  EXPECT_TRUE(arrive_within(20s, "q", 50));
  EXPECT_TRUE(eventually(20s, [&] { return count("status = 'sent'") == 50; }));
  EXPECT_EQ(depth("q"), 50u) << "the key of the failed row must wait";
  broker.declare_queue("missing");
  expect_all_in_order(100, 0);
}

TEST_F(pipelined, a_hot_key_is_faster_than_in_strict_order) {
  const int rows = scaled_rows(4'000, 20'000);
  double rate[2] = {};
  for (const bool pipelining : {false, true}) {
    start(pipelining ? usual : sidecar::settings{});
    const auto begin = std::chrono::steady_clock::now();
    insert(rows, {.ordering_key = "'hot'"});
    ASSERT_TRUE(arrive_within(120s, "q", static_cast<std::uint32_t>(rows))) << relay->log();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    rate[pipelining ? 1 : 0] = rows / took.count();
    ASSERT_TRUE(all_sent_within(30s));
    EXPECT_THAT(take_all(amqp_url, "q").out_of_order, IsEmpty());
  }
  std::printf("one hot key: strict %.0f/s, pipelined %.0f/s (ratio %.1f)\n", rate[0], rate[1],
              rate[1] / rate[0]);
}

}  // namespace
}  // namespace outboxd::tests
