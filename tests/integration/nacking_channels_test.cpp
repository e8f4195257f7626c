// A channel that nacks for as long as it lasts, before a queue that takes everything: RabbitMQ 3.10
// has such channels after a quorum queue has lost its leader (docs/adr/0017).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_world.hpp"
#include "tests/support/confirm_filter.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

class nacking_channels : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  nacking_channels() {
    broker.declare_queue("refused");
    broker.declare_queue("healthy");
  }
  void write(int rows, const std::string& queue) {
    insert(rows, {.routing_key = "'" + queue + "'",
                  .ordering_key = "CASE WHEN n % 2 = 0 THEN '" + queue + "' || n % 20 END"});
  }
  bool held() const { return relay->metric("outbox_held_destinations") == 1; }

  const sidecar::settings usual{{"OUTBOX_RETRY_MIN", "100ms"}, {"OUTBOX_RETRY_MAX", "500ms"}};
  confirm_filter filter{shared_rabbitmq().port()};
};

TEST_F(nacking_channels, are_opened_anew_and_the_connection_stays) {
  start_through(filter.port(), usual);
  filter.refuse("refused");
  write(500, "refused");
  ASSERT_TRUE(eventually(30s, [&] { return held(); })) << relay->log();
  write(500, "healthy");
  ASSERT_TRUE(eventually(30s, [&] {
    return count("routing_key = 'healthy' AND status = 'sent'") == 500;
  })) << relay->log();
  EXPECT_TRUE(held());

  filter.relent();
  ASSERT_TRUE(all_sent_within(60s)) << relay->log();
  EXPECT_TRUE(eventually(30s, [&] { return !held(); }));
  EXPECT_THAT(take_all(amqp_url, "refused").out_of_order, IsEmpty());
  EXPECT_EQ(count("status = 'dead'"), 0);
  EXPECT_THAT(relay->log(), HasSubstr("amqp.channel_renewed"));
  EXPECT_EQ(relay->metric("outbox_broker_reconnects_total"), 0);

  // The lane that nacked is a new one, too: nothing is refused any more.
  const double refused = relay->metric(R"(outbox_messages_failed_total{reason="nacked"})");
  write(500, "refused");
  ASSERT_TRUE(all_sent_within(60s)) << relay->log();
  EXPECT_EQ(relay->metric(R"(outbox_messages_failed_total{reason="nacked"})"), refused);
}

}  // namespace
}  // namespace outboxd::tests
