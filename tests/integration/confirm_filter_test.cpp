// The proxy that keeps the confirms of one routing key for itself does so, and nothing else.
#include <gtest/gtest.h>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/confirm_filter.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

TEST(confirm_filter, only_the_confirms_of_one_routing_key_are_missing_until_it_is_healed) {
  const std::string direct = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  amqp_probe broker(direct);
  broker.declare_queue("q");
  broker.declare_queue("stuck");
  confirm_filter filter(shared_rabbitmq().port());
  std::string url = direct;
  const std::string port = std::to_string(shared_rabbitmq().port());
  url.replace(url.find(":" + port) + 1, port.size(), std::to_string(filter.port()));

  filter.swallow("stuck");
  publisher_driver publisher(url);
  ASSERT_TRUE(publisher.start_and_open());
  std::vector<std::int64_t> stuck;
  for (int n = 0; n < 100; ++n) {
    publisher.publish("", "q");
    stuck.push_back(publisher.publish("", "stuck"));
  }
  const auto returned = publisher.publish("", "nowhere");
  ASSERT_TRUE(publisher.run_until([&] { return publisher.outcomes().size() == 101; }));
  EXPECT_EQ(publisher.count()["confirmed"], 100);
  EXPECT_EQ(publisher.outcome_of(returned), "returned 312");
  for (const auto id : stuck) EXPECT_EQ(publisher.outcome_of(id), "");
  EXPECT_TRUE(eventually(20s, [&] { return broker.queue("stuck")->messages == 100; }))
      << "the messages themselves get through";
  EXPECT_EQ(filter.swallowed(), 100u);

  filter.heal();
  ASSERT_TRUE(publisher.settle());
  EXPECT_EQ(publisher.count()["confirmed"], 200);
  publisher.publish("", "stuck");
  ASSERT_TRUE(publisher.settle());
  EXPECT_EQ(filter.swallowed(), 100u);
  EXPECT_TRUE(publisher.stop());
}

}  // namespace
}  // namespace outboxd::tests
