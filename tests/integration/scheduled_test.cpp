// Rows with not_before go out at their time, without anybody looking for them every few
// milliseconds, and cost nothing until then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/broker_world.hpp"
#include "tests/support/scale.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class scheduled : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  // Seconds to deliver so many rows that are already there, and the statements it took to find
  // them.
  struct drain {
    double seconds, polls;
  };
  drain drain_backlog(int rows) {
    insert(rows, {.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 1000 END"});
    const auto begin = std::chrono::steady_clock::now();
    start();
    EXPECT_TRUE(arrive_within(300s, "q", static_cast<std::uint32_t>(rows))) << relay->log();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_TRUE(eventually(30s, [&] { return !any("status = 'pending'"); }));
    const double polls = relay->metric("outbox_db_polls_total");
    relay->kill(SIGTERM);
    EXPECT_TRUE(relay->wait(20s));
    broker.purge("q");
    return {took.count(), polls};
  }
};

// The relay of these tests polls once a minute by itself: whatever arrives earlier, was awaited.
TEST_F(scheduled, rows_go_out_at_their_time_and_not_by_frequent_polling) {
  constexpr int rows = 200;
  start();
  insert(rows, {.payload = "extract(epoch FROM clock_timestamp() + interval '1s' + n * interval "
                           "'25ms')::text",
                .not_before = "clock_timestamp() + interval '1s' + n * interval '25ms'"});
  const double polls_before = relay->metric("outbox_db_polls_total");
  broker.consume("q");
  std::vector<double> late;  // milliseconds
  for (int n = 0; n < rows; ++n) {
    const auto m = broker.next(30s);
    ASSERT_TRUE(m) << relay->log();
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    late.push_back(1000 * (now.count() - std::stod(m->body)));
  }
  const double polls = relay->metric("outbox_db_polls_total") - polls_before;
  std::sort(late.begin(), late.end());
  std::printf(
      "%d rows in five seconds: late by %.1f ms (median), %.1f ms (p99), %.1f ms (most); %.0f "
      "polls\n",
      rows, late[rows / 2], late[rows * 99 / 100], late.back(), polls);
  EXPECT_GE(late.front(), 0) << "too early";
  EXPECT_LE(polls, 4 * rows + 20)
      << "for each time one that finds it, and those of going idle again";
}

TEST_F(scheduled, a_row_far_away_costs_next_to_no_polls_until_then) {
  start();
  const double before = relay->metric("outbox_db_polls_total");
  insert(1, {.not_before = "clock_timestamp() + interval '3s'"});
  insert(1, {.not_before = "clock_timestamp() + interval '1 day'"});
  EXPECT_TRUE(arrive_within(30s, "q", 1)) << relay->log();
  EXPECT_LE(relay->metric("outbox_db_polls_total") - before, 30) << "those of going idle, twice";
  EXPECT_TRUE(eventually(30s, [&] { return count("status = 'sent'") == 1; }));
  EXPECT_EQ(count("status = 'deferred'"), 1);
}

TEST_F(scheduled, a_scheduled_row_takes_its_place_in_its_key_when_it_is_due) {
  start();
  insert(1, {.ordering_key = "'k'", .not_before = "clock_timestamp() + interval '5s'"});
  insert(5, {.ordering_key = "'k'"});
  ASSERT_TRUE(arrive_within(10s, "q", 5)) << "it holds nothing until then";
  ASSERT_TRUE(arrive_within(30s, "q", 6));
  EXPECT_THAT(take_all(amqp_url, "q").ids, testing::ElementsAre(2, 3, 4, 5, 6, 1));
}

TEST_F(scheduled, a_multitude_of_scheduled_rows_slows_nothing_down) {
  const int backlog = scaled_rows(20'000, 100'000);
  const int waiting = scaled_rows(200'000, 1'000'000);
  const auto without = drain_backlog(backlog);
  insert(waiting, {.ordering_key = "'later' || n % 1000",
                   .not_before = "clock_timestamp() + interval '1 day' + n * interval '1ms'"});
  const auto with = drain_backlog(backlog);
  std::printf(
      "%d rows took %.2f s, with %d scheduled ones beside them %.2f s (ratio %.2f); %.0f and "
      "%.0f polls\n",
      backlog, without.seconds, waiting, with.seconds, with.seconds / without.seconds,
      without.polls, with.polls);
  EXPECT_LE(with.polls, 2 * without.polls + 20);
  EXPECT_EQ(count("status = 'deferred'"), waiting);
}

TEST_F(scheduled, what_is_scheduled_too_far_ahead_is_dead_and_says_so) {
  start({{"OUTBOX_MAX_DELAY", "1h"}});
  insert(3, {.not_before = "clock_timestamp() + interval '2h'"});
  insert(1, {.not_before = "clock_timestamp() + interval '30 min'"});
  insert(1, {.not_before = "clock_timestamp() + interval '500ms'"});
  EXPECT_TRUE(eventually(20s, [&] { return count("status = 'dead'") == 3; })) << relay->log();
  EXPECT_THAT(db.value("SELECT last_error FROM \"outbox\".messages WHERE id = 1"),
              HasSubstr("delay_too_long"));
  EXPECT_TRUE(eventually(30s, [&] {
    return relay->metric("outbox_messages_dead_total{reason=\"delay_too_long\"}") == 3;
  }));
  EXPECT_TRUE(arrive_within(20s, "q", 1));
  EXPECT_TRUE(eventually(30s, [&] { return count("status = 'sent'") == 1; }));
  EXPECT_EQ(count("status = 'deferred'"), 1);
}

}  // namespace
}  // namespace outboxd::tests
