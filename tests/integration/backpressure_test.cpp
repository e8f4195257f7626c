// The broker takes less than there is, or nothing, or the rows are huge: memory and CPU stay where
// they are, nothing reconnects, and everything goes out afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/support/broker_world.hpp"
#include "tests/support/scale.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t mib = 1u << 20;

// The process itself, its libraries, metadata of rows.
constexpr std::size_t constant = sanitized ? std::numeric_limits<std::size_t>::max() / 2 : 80 * mib;

class backpressure : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }
  ~backpressure() override {
    if (alarmed) alarm(false);
  }

  void alarm(bool on) {
    alarmed = on;
    shared_rabbitmq().ctl({"set_vm_memory_high_watermark", on ? "0.00000001" : "0.6"});
  }

  // Highest resident size until the predicate is true; fails after the limit.
  template <typename Predicate>
  std::size_t peak_until(std::chrono::milliseconds limit, Predicate&& done) {
    std::size_t peak = 0;
    EXPECT_TRUE(eventually(limit, [&] {
      peak = std::max(peak, relay->resident_bytes());
      return done();
    })) << relay->log();
    return peak;
  }

  bool alarmed = false;
};

TEST_F(backpressure, an_alarm_costs_neither_memory_nor_cpu_nor_connections) {
  const int rows = scaled_rows(40'000, 1'000'000);
  const std::chrono::milliseconds lasts = scaled(8s, 300s);
  const sidecar::settings patience{{"OUTBOX_SHUTDOWN_TIMEOUT", "2s"},
                                   {"OUTBOX_CONFIRM_TIMEOUT", "5s"}};
  const row_columns columns{.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 1000 END",
                            .payload = "repeat('x', 200)"};
  start(patience);
  insert(rows / 2, columns);
  ASSERT_TRUE(all_sent_within(300s)) << relay->log();
  alarm(true);
  insert(rows / 2, columns);
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_broker_blocked") == 1; }))
      << relay->log();
  ASSERT_LT(count("status = 'sent'"), rows) << "it holds nothing up";

  const std::size_t memory_before = relay->resident_bytes();
  const double cpu_before = relay->cpu_seconds();
  const double published_before = published();
  const auto begin = std::chrono::steady_clock::now();
  std::size_t peak = 0, most_connections = 0;
  eventually(lasts, [&] {
    peak = std::max(peak, relay->resident_bytes());
    most_connections = std::max(most_connections, gate.connections());
    return false;
  });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double cpu = (relay->cpu_seconds() - cpu_before) / seconds;
  std::printf(
      "alarm of %.0f s with %d rows: resident %zu MB before, at most %zu MB; %.1f %% of a "
      "core; %zu connections\n",
      seconds, rows, memory_before / mib, peak / mib, 100 * cpu, most_connections);
  if (!sanitized) {
    EXPECT_LE(peak, memory_before + 8 * mib);
  }
  EXPECT_LE(peak, constant);
  EXPECT_GT(cpu_before, 0) << "it has worked until then";
  EXPECT_LE(cpu, 0.2);
  EXPECT_LE(most_connections, 3u) << "two lanes and a quarantine";
  EXPECT_EQ(relay->metric("outbox_broker_reconnects_total"), 0);
  EXPECT_LE(published() - published_before, 2'048) << "no more than the window, until it heard";
  EXPECT_EQ(unknown("timeout"), 0) << "the confirm clock stands still";

  relay->kill(SIGTERM);
  EXPECT_TRUE(relay->wait(30s)) << "SIGTERM during the alarm\n" << relay->log();
  start(patience);  // and takes over while it lasts
  alarm(false);
  ASSERT_TRUE(all_sent_within(300s)) << relay->log();
  const auto got = take_all(amqp_url, "q");
  EXPECT_EQ(got.ids.size(), static_cast<std::size_t>(rows));
  EXPECT_THAT(got.out_of_order, testing::IsEmpty());
  EXPECT_LE(got.duplicates, 3u * 2'048u);
}

TEST_F(backpressure, a_short_alarm_is_over_without_a_duplicate) {
  start();
  insert(20'000);
  ASSERT_TRUE(
      eventually(60s, [&] { return relay->metric("outbox_messages_confirmed_total") >= 100; }));
  for (int round = 0; round < 2; ++round) {
    alarm(true);
    insert(2'000);
    ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_broker_blocked") == 1; }))
        << relay->log();
    alarm(false);
    ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_broker_blocked") == 0; }));
    ASSERT_TRUE(all_sent_within(60s)) << relay->log();
  }
  const auto got = take_all(amqp_url, "q");
  EXPECT_EQ(got.ids.size(), 24'000u);
  EXPECT_EQ(got.duplicates, 0u);
}

// libpq holds an answer as text beside the row made of it, and the frames are built from that.
TEST_F(backpressure, rows_of_many_megabytes_stay_within_the_budget_of_bytes) {
  const int rows = sanitized ? 10 : scaled(30, 60);
  constexpr std::size_t budget = 64 * mib;
  broker.declare_queue("last_one", {.arguments = {{"x-max-length", amqp_value::int64(1)}}});
  insert(rows, {.routing_key = "'last_one'", .payload = "repeat('0123456789abcde', 1000000)"});
  start({{"OUTBOX_MAX_IN_FLIGHT_BYTES", std::to_string(budget / mib) + "MiB"}});
  const std::size_t peak =
      peak_until(300s, [&] { return !any("status IN ('pending', 'deferred')"); });
  EXPECT_EQ(count("status = 'sent'"), rows);
  EXPECT_LE(peak, 3 * budget + constant);
  std::printf("%d rows of 15 MB with a budget of 64 MiB: at most %zu MB\n", rows, peak / mib);
}

TEST_F(backpressure, large_headers_count_too) {
  const int rows = scaled_rows(3'000, 30'000);
  constexpr std::size_t budget = 8 * mib;
  broker.declare_queue("last_one", {.arguments = {{"x-max-length", amqp_value::int64(1)}}});
  insert(rows, {.routing_key = "'last_one'",
                .headers = "jsonb_build_object('h', repeat('0123456789', 6000))"});
  start({{"OUTBOX_MAX_IN_FLIGHT_BYTES", std::to_string(budget / mib) + "MiB"},
         {"OUTBOX_MAX_MESSAGE_SIZE", "1MiB"}});
  const std::size_t peak =
      peak_until(300s, [&] { return !any("status IN ('pending', 'deferred')"); });
  EXPECT_EQ(count("status = 'sent'"), rows);
  EXPECT_LE(peak, 3 * budget + constant);
  std::printf("%d rows with headers of 60 kB and a budget of 8 MiB: at most %zu MB\n", rows,
              peak / mib);
}

// Slower than the rows come: they wait in the table, not in memory.
TEST_F(backpressure, a_slow_broker_gets_everything_at_its_own_pace) {
  const int rows = scaled_rows(2'000, 20'000);
  start({{"OUTBOX_MAX_IN_FLIGHT_BYTES", "8MiB"}, {"OUTBOX_MAX_MESSAGE_SIZE", "1MiB"}});
  gate.trickle(direction::to_server, 2 * mib);
  insert(rows, {.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 100 END",
                .payload = "repeat('x', 5000)"});
  const std::size_t peak =
      peak_until(300s, [&] { return depth("q") >= static_cast<std::uint32_t>(rows); });
  std::printf("a slow broker: at most %zu MB\n", peak / mib);
  EXPECT_LE(peak, 24 * mib + constant);
  EXPECT_EQ(relay->metric("outbox_broker_reconnects_total"), 0) << relay->log();
  gate.pass();
  ASSERT_TRUE(all_sent_within(60s));
  const auto got = take_all(amqp_url, "q");
  EXPECT_EQ(got.ids.size(), static_cast<std::size_t>(rows));
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_THAT(got.out_of_order, testing::IsEmpty());
}

}  // namespace
}  // namespace outboxd::tests
