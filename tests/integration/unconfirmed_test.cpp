// A queue that takes messages and never confirms them, among others that do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_world.hpp"
#include "tests/support/confirm_filter.hpp"
#include "tests/support/scale.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

class unconfirmed : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  unconfirmed() {
    broker.declare_queue("stuck");
    broker.declare_queue("healthy");
  }

  // Half of them with a key.
  void write_healthy(int rows) {
    insert(rows, {.routing_key = "'healthy'",
                  .ordering_key = "CASE WHEN n % 2 = 0 THEN 'h' || n % 20 END"});
    healthy += rows;
  }
  bool healthy_are_sent_within(std::chrono::milliseconds limit) {
    return arrive_within(limit, "healthy", static_cast<std::uint32_t>(healthy)) &&
           eventually(limit, [&] {
             return count("routing_key = 'healthy' AND status = 'sent'") == healthy;
           });
  }

  const std::chrono::seconds timeout = scaled(2s, 30s);
  const sidecar::settings usual{{"OUTBOX_CONFIRM_TIMEOUT", std::to_string(timeout.count()) + "s"},
                                {"OUTBOX_RETRY_MIN", "500ms"},
                                {"OUTBOX_RETRY_MAX", "1s"}};
  confirm_filter filter{shared_rabbitmq().port()};
  int healthy = 0;
};

TEST_F(unconfirmed, the_others_wait_one_confirm_timeout_at_most_and_once) {
  const int rows = scaled_rows(5'000, 50'000);
  filter.swallow("stuck");
  start_through(filter.port(), usual);
  insert(rows,
         {.routing_key = "'stuck'", .ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 50 END"});
  ASSERT_TRUE(eventually(30s, [&] { return filter.swallowed() > 0; })) << relay->log();
  write_healthy(5'000);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(healthy_are_sent_within(timeout + 30s)) << relay->log();
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(eventually(timeout + 30s, [&] {
    return relay->metric("outbox_held_destinations") == 1;
  })) << relay->log();
  EXPECT_LE(filter.swallowed(), 2'048u);

  // While it lasts: healthy rows come and go and are sent once, and the stuck ones are only probed.
  const std::size_t swallowed_before = filter.swallowed();
  const double unknown_before = unknown("timeout");
  const auto lasts = timeout * 3;
  const auto held = std::chrono::steady_clock::now();
  double longest = 0;
  while (std::chrono::steady_clock::now() - held < lasts) {
    const auto wrote = std::chrono::steady_clock::now();
    write_healthy(20);
    ASSERT_TRUE(healthy_are_sent_within(timeout + 30s)) << relay->log();
    longest = std::max(
        longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - wrote).count());
  }
  const std::size_t probes = filter.swallowed() - swallowed_before;
  const auto timeouts =
      static_cast<std::size_t>((std::chrono::steady_clock::now() - held) / timeout);
  std::printf(
      "the healthy rows took %.1f s, later %.2f s at most; %zu publishes before the hold, "
      "%zu probes in %zu confirm timeouts\n",
      waited.count(), longest, swallowed_before, probes, timeouts);
  const std::size_t few = 3 * timeouts + 1;
  EXPECT_LE(probes, few) << "one for each back-off, and each has to time out";
  EXPECT_LE(unknown("timeout") - unknown_before, few) << "nothing else is in doubt";
  EXPECT_EQ(count("status = 'dead'"), 0);
  EXPECT_LE(take_all(amqp_url, "healthy").duplicates, 2'048u) << "those of the first timeout only";

  filter.heal();
  ASSERT_TRUE(all_sent_within(timeout + 120s)) << relay->log();
  const auto got = take_all(amqp_url, "stuck");
  EXPECT_EQ(got.ids.size(), static_cast<std::size_t>(rows));
  EXPECT_THAT(got.out_of_order, IsEmpty());
  EXPECT_LE(got.duplicates, swallowed_before + probes);
}

TEST_F(unconfirmed, a_queue_that_confirms_again_goes_on_without_a_restart) {
  start_through(filter.port(), usual);
  filter.swallow("stuck");
  insert(300, {.routing_key = "'stuck'", .ordering_key = "'k' || n % 3"});
  ASSERT_TRUE(eventually(30s, [&] { return filter.swallowed() > 0; }));
  filter.heal();
  ASSERT_TRUE(all_sent_within(timeout + 60s)) << relay->log();
  const auto got = take_all(amqp_url, "stuck");
  EXPECT_EQ(got.ids.size(), 300u);
  EXPECT_THAT(got.out_of_order, IsEmpty());
  EXPECT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 0; }));
}

// On RabbitMQ 3.10 the deletion of a quorum queue under load can leave the channel without a word.
TEST_F(unconfirmed, a_quorum_queue_deleted_under_load_and_made_again_gets_the_rest) {
  const int rows = scaled_rows(60'000, 300'000);
  const queue_options quorum{.arguments = {{"x-queue-type", amqp_value::text("quorum")}}};
  broker.declare_queue("voted", quorum);
  auto more = usual;
  more["OUTBOX_MAX_IN_FLIGHT"] = "8000";
  start(more);
  insert(rows,
         {.routing_key = "'voted'", .ordering_key = "CASE WHEN n % 4 = 0 THEN 'k' || n % 100 END"});
  ASSERT_TRUE(
      eventually(60s, [&] { return relay->metric("outbox_messages_confirmed_total") >= 5'000; }));
  broker.delete_queue("voted");
  ASSERT_TRUE(eventually(timeout + 30s, [&] {
    return relay->metric("outbox_held_destinations") == 1;
  })) << relay->log();
  EXPECT_EQ(count("status = 'dead'"), 0);
  const int gone = count("status = 'sent'");
  EXPECT_LT(gone, rows) << "the queue was deleted too late";
  write_healthy(100);
  EXPECT_TRUE(healthy_are_sent_within(timeout + 30s));

  broker.declare_queue("voted", quorum);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually(timeout + 10s, [&] { return depth("voted") >= 100; })) << relay->log();
  std::printf("%d were acknowledged with the old queue; the new one got the first after %.1f s\n",
              gone,
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  ASSERT_TRUE(all_sent_within(180s)) << relay->log();
  const auto got = take_all(amqp_url, "voted");
  EXPECT_GE(static_cast<int>(got.ids.size()), rows - gone);
  EXPECT_THAT(got.out_of_order, IsEmpty());
}

}  // namespace
}  // namespace outboxd::tests
