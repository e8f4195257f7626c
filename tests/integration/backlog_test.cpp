// Memory does not grow with the backlog.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// A sanitizer multiplies time and memory; what it looks for shows with fewer rows, and the bound
// says nothing.
constexpr int rows = 50'000;
constexpr std::size_t bound = std::numeric_limits<std::size_t>::max();
#else
constexpr int rows = 500'000;
constexpr std::size_t bound = 80u << 20;
#endif

TEST(backlog, half_a_million_rows_drain_in_flat_memory) {
  start_shared_servers();
  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  amqp_probe broker(amqp_url);
  broker.declare_queue("q");
  db.run(
      "INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload) "
      "SELECT 'q', CASE WHEN n % 2 = 0 THEN 'k' || n % 10000 END, repeat('x', 200) FROM "
      "generate_series(1, " +
      std::to_string(rows) + ") AS n");
  sidecar relay(db.url(), amqp_url);
  std::size_t peak = 0;
  ASSERT_TRUE(eventually(240s, [&] {
    peak = std::max(peak, relay.resident_bytes());
    return db.value(
               "SELECT count(*) FROM (SELECT FROM \"outbox\".messages WHERE status = 'pending' "
               "LIMIT 1) AS p") == "0";
  })) << relay.log();
  EXPECT_LT(peak, bound);
  EXPECT_EQ(broker.queue("q")->messages, static_cast<std::uint32_t>(rows))
      << "none lost, none twice";
  RecordProperty("peak_mb", static_cast<int>(peak >> 20));
  std::printf("peak %zu MB for %d rows\n", peak >> 20, rows);
}

}  // namespace
}  // namespace outboxd::tests
