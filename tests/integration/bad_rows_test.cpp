// Rows that no broker takes among rows that it does: the good ones do not notice, the bad ones say
// why they are dead or wait.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_world.hpp"
#include "tests/support/scale.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// The broker's own limit; ours stays at its default, so that the broker has to refuse.
constexpr int broker_limit = 100'000;

class bad_rows : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() {
    start_shared_servers();
    shared_rabbitmq().limit_message_size(broker_limit);
  }

  bad_rows() { start({{"OUTBOX_RETRY_MIN", "200ms"}, {"OUTBOX_RETRY_MAX", "2s"}}); }

  // Ten rows at a time, half of them with one of a hundred keys; the next ten once the last but one
  // have arrived.
  void write_good(int rows, bool with_bad_ones) {
    for (int written = 0; written < rows; written += 10) {
      insert(10, {.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || (" + std::to_string(written) +
                                  " / 10) % 50 || n END"});
      good += 10;
      if (with_bad_ones && written % 300 == 150) {
        insert(1, {.exchange = "'nowhere'"});
        insert(1, {.headers = R"('{"CC": "not an array"}')"});
        insert(1, {.payload = "repeat('x', " + std::to_string(broker_limit + 1) + ")"});
      }
      ASSERT_TRUE(arrive_within(60s, "q", static_cast<std::uint32_t>(good - 10))) << relay->log();
    }
    ASSERT_TRUE(arrive_within(60s, "q", static_cast<std::uint32_t>(good)));
  }

  // Milliseconds from the INSERT to the mark, of good rows with id > after.
  struct latencies {
    double median, p99;
  };
  latencies latency_of_good_rows(const std::string& after) {
    const auto row = db.run(
        "SELECT 1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY took), "
        "1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY took) FROM (SELECT extract(epoch FROM "
        "sent_at - created_at) AS took FROM \"outbox\".messages WHERE exchange = '' AND status = "
        "'sent' AND id > " +
        after + ") AS good");
    return {row[0][0].as<double>(), row[0][1].as<double>()};
  }

  int good = 0;
};

TEST_F(bad_rows, rows_that_nobody_takes_leave_the_good_ones_alone) {
  const int rows = scaled_rows(6'000, 60'000);
  const int bad = (rows + 149) / 300;
  ASSERT_NO_FATAL_FAILURE(write_good(rows, false));
  ASSERT_TRUE(eventually(20s, [&] { return count("status = 'sent'") == rows; }));
  const auto without = latency_of_good_rows("0");
  const std::string last = db.value("SELECT max(id) FROM \"outbox\".messages");

  ASSERT_NO_FATAL_FAILURE(write_good(rows, true));
  EXPECT_EQ(count("exchange = 'nowhere' AND status = 'sent'"), 0);
  ASSERT_TRUE(eventually(60s, [&] { return count("status = 'dead'") == 2 * bad; })) << relay->log();
  const auto with = latency_of_good_rows(last);
  std::printf(
      "good rows: median %.1f ms without bad ones, %.1f ms with (ratio %.2f); p99 %.1f, %.1f "
      "(ratio %.2f)\n",
      without.median, with.median, with.median / without.median, without.p99, with.p99,
      with.p99 / without.p99);

  EXPECT_TRUE(eventually(30s, [&] { return count("status = 'sent'") == 2 * rows; }))
      << count("status = 'sent'") << "\n"
      << relay->log();
  EXPECT_EQ(count("exchange = 'nowhere' AND status IN ('pending', 'deferred')"), bad);
  EXPECT_EQ(count("status = 'dead' AND last_error LIKE 'invalid%CC%'"), bad);
  EXPECT_EQ(count("status = 'dead' AND last_error LIKE 'refused%406%larger than%'"), bad);
  EXPECT_THAT(db.value("SELECT last_error FROM \"outbox\".messages WHERE exchange = 'nowhere' AND "
                       "attempts > 0 LIMIT 1"),
              HasSubstr("no_exchange"));
  for (const std::string reason : {"invalid", "refused"}) {
    EXPECT_TRUE(eventually(30s, [&] {
      return relay->metric("outbox_messages_dead_total{reason=\"" + reason + "\"}") == bad;
    })) << reason;
  }
  EXPECT_EQ(relay->metric("outbox_broker_reconnects_total"), 0) << "only channels are closed";
  EXPECT_LE(relay->metric("outbox_broker_channel_errors_total{code=\"406\"}"), 4 * bad)
      << "once among others, twice alone";
  EXPECT_THAT(take_all(amqp_url, "q").out_of_order, testing::IsEmpty());

  broker.declare_exchange("nowhere", "fanout");
  broker.bind("q", "nowhere", "");
  EXPECT_TRUE(all_sent_within(30s)) << relay->log();
  EXPECT_EQ(take_all(amqp_url, "q").ids.size(), static_cast<std::size_t>(bad));
}

TEST_F(bad_rows, a_key_goes_on_behind_its_refused_row_in_order) {
  insert(1, {.ordering_key = "'k'", .payload = "repeat('x', 200000)"});
  insert(50, {.ordering_key = "'k'"});
  EXPECT_TRUE(arrive_within(30s, "q", 50)) << relay->log();
  ASSERT_TRUE(eventually(30s, [&] { return count("status = 'sent'") == 50; }));
  EXPECT_TRUE(eventually(30s, [&] { return count("status = 'dead'") == 1; }));
  EXPECT_THAT(take_all(amqp_url, "q").out_of_order, testing::IsEmpty());
}

}  // namespace
}  // namespace outboxd::tests
