// A broker that closes the whole connection over a message. RabbitMQ does so for what this encoder
// never writes, hence a broker of the test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/scripted_broker.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class poison_connection : public testing::Test {
 protected:
  // Acknowledges every message but those it refuses.
  void serve(broker_side& client) {
    client.handshake();
    constexpr std::uint8_t body = 3;
    std::uint64_t tag = 0;
    for (;;) {
      const received_frame f = client.read();
      if (f.method == method::publish) ++tag;
      if (f.type != body) continue;
      if (refuses_all || f.payload == "bad") {
        client.close_connection(541, "INTERNAL_ERROR");
        client.wait_for_the_end();
        return;
      }
      client.ack(tag);
    }
  }

  int count(const std::string& status) {
    return std::stoi(
        db.value("SELECT count(*) FROM \"outbox\".messages WHERE status = '" + status + "'"));
  }

  void insert(int rows, const std::string& payload) {
    db.run(
        "INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload) SELECT 'q', CASE "
        "WHEN n % 2 = 0 THEN 'k' || n % 10 END, " +
        payload + " FROM generate_series(1, " + std::to_string(rows) + ") AS n");
  }

  std::atomic<bool> refuses_all{false};
  outbox_database db;
  scripted_broker broker{[this](broker_side& client) { serve(client); }};
};

TEST_F(poison_connection, the_row_is_found_and_the_others_go_on) {
  insert(300, "CASE WHEN n = 100 THEN 'bad' ELSE n::text END");
  sidecar relay(db.url(), broker.url());
  ASSERT_TRUE(eventually(60s, [&] { return count("sent") == 299; })) << relay.log();
  ASSERT_TRUE(eventually(60s, [&] { return count("dead") == 1; })) << relay.log();
  EXPECT_THAT(db.value("SELECT last_error FROM \"outbox\".messages WHERE status = 'dead'"),
              HasSubstr("541"));
  EXPECT_EQ(db.value("SELECT payload FROM \"outbox\".messages WHERE status = 'dead'"), "bad");
  const int connections = broker.connections();
  EXPECT_LE(connections, 20) << "no loop";
  insert(100, "n::text");
  EXPECT_TRUE(eventually(30s, [&] { return count("sent") == 399; }));
  EXPECT_LE(broker.connections(), connections + 1) << "only the one that was lost comes back";
}

// Then the fault is not the row's.
TEST_F(poison_connection, a_broker_that_closes_over_everything_kills_no_row) {
  refuses_all = true;
  insert(100, "n::text");
  sidecar relay(db.url(), broker.url());
  ASSERT_TRUE(eventually(60s, [&] { return broker.connections() >= 12; })) << relay.log();
  EXPECT_EQ(count("dead"), 0) << relay.log();
  refuses_all = false;
  EXPECT_TRUE(eventually(60s, [&] { return count("sent") == 100; })) << relay.log();
}

}  // namespace
}  // namespace outboxd::tests
