#include "tests/support/amqp_probe.hpp"
#include "tests/support/servers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <sstream>

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

struct amqp_probe_test : testing::Test {
  static std::string fresh_vhost() {
    return shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  }

  const std::string url = fresh_vhost();
  amqp_probe probe{url};
};

TEST_F(amqp_probe_test, every_property_and_typed_header_comes_back) {
  amqp_properties properties;
  properties.content_type = "text/plain";
  properties.content_encoding = "identity";
  properties.correlation_id = "c";
  properties.reply_to = "r";
  properties.expiration = "60000";
  properties.message_id = "m";
  properties.type = "t";
  properties.user_id = "outboxd";
  properties.app_id = "a";
  properties.delivery_mode = 2;
  properties.priority = 7;
  properties.timestamp = 1700000000;
  properties.headers =
      amqp_table{{"text", amqp_value::text("\"quoted\"")},
                 {"small", amqp_value::int32(-3)},
                 {"large", amqp_value::int64(std::numeric_limits<std::int64_t>::max())},
                 {"real", amqp_value::real(0.1)},
                 {"yes", amqp_value::boolean(true)},
                 {"none", amqp_value::nothing()},
                 {"table", amqp_value::table({{"in", amqp_value::array({amqp_value::int64(1)})}})}};
  probe.declare_queue("q");
  const std::string body("\0\xff bytes", 8);
  probe.publish("", "q", body, properties);

  const auto messages = probe.get_many("q", 1, 30s);
  ASSERT_EQ(messages.size(), 1u);
  const amqp_message& m = messages[0];
  EXPECT_EQ(m.body, body);
  EXPECT_EQ(m.exchange, "");
  EXPECT_EQ(m.routing_key, "q");
  EXPECT_FALSE(m.redelivered);
  EXPECT_EQ(m.properties.content_type, "text/plain");
  EXPECT_EQ(m.properties.content_encoding, "identity");
  EXPECT_EQ(m.properties.correlation_id, "c");
  EXPECT_EQ(m.properties.reply_to, "r");
  EXPECT_EQ(m.properties.expiration, "60000");
  EXPECT_EQ(m.properties.message_id, "m");
  EXPECT_EQ(m.properties.type, "t");
  EXPECT_EQ(m.properties.user_id, "outboxd");
  EXPECT_EQ(m.properties.app_id, "a");
  EXPECT_EQ(m.properties.delivery_mode, 2);
  EXPECT_EQ(m.properties.priority, 7);
  EXPECT_EQ(m.properties.timestamp, 1700000000u);
  EXPECT_EQ(m.properties.headers, properties.headers);
  EXPECT_EQ(m.header("small"), amqp_value::int32(-3));
  EXPECT_NE(m.header("small"), amqp_value::int64(-3));
  EXPECT_EQ(m.header("missing"), std::nullopt);
}

TEST_F(amqp_probe_test, a_message_without_properties_has_none) {
  probe.declare_queue("q");
  probe.publish("", "q", "");
  const auto messages = probe.get_many("q", 1, 30s);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].body, "");
  EXPECT_EQ(messages[0].properties.content_type, std::nullopt);
  EXPECT_EQ(messages[0].properties.headers, std::nullopt);
  EXPECT_EQ(probe.get("q"), std::nullopt);
}

TEST_F(amqp_probe_test, a_body_of_many_frames_comes_back) {
  probe.declare_queue("q");
  const std::string body(3'000'000, 'x');
  probe.publish("", "q", body);
  const auto messages = probe.get_many("q", 1, 30s);
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].body, body);
}

TEST_F(amqp_probe_test, a_refusal_has_its_code_and_the_probe_goes_on) {
  EXPECT_EQ(probe.queue("q"), std::nullopt);
  EXPECT_FALSE(probe.has_exchange("e"));
  probe.declare_queue("q");
  try {
    probe.declare_queue("q", {.durable = false});
    FAIL() << "declared twice with different options";
  } catch (const amqp_error& error) {
    EXPECT_EQ(error.code, 406);
  }
  ASSERT_TRUE(probe.queue("q"));
  EXPECT_EQ(probe.queue("q")->messages, 0u);
  probe.delete_queue("q");
  EXPECT_FALSE(probe.queue("q"));
}

TEST_F(amqp_probe_test, bindings_and_their_removal_decide_what_a_queue_gets) {
  probe.declare_exchange("e", "topic");
  EXPECT_TRUE(probe.has_exchange("e"));
  probe.declare_queue("q");
  probe.bind("q", "e", "user.*");
  probe.publish("e", "user.created", "1");
  EXPECT_EQ(probe.get_many("q", 1, 30s).size(), 1u);
  probe.unbind("q", "e", "user.*");
  probe.publish("e", "user.created", "2");
  EXPECT_EQ(probe.queue("q")->messages, 0u);
  probe.delete_exchange("e");
  EXPECT_FALSE(probe.has_exchange("e"));
}

TEST_F(amqp_probe_test, queue_arguments_reach_the_broker) {
  probe.declare_queue("limited",
                      {.arguments = {{"x-max-length", amqp_value::int64(1)},
                                     {"x-overflow", amqp_value::text("reject-publish")}}});
  probe.publish("", "limited", "1");
  probe.publish("", "limited", "2");
  EXPECT_EQ(probe.get_many("limited", 1, 30s).at(0).body, "1");
  EXPECT_EQ(probe.get("limited"), std::nullopt);

  probe.declare_queue("quorum", {.arguments = {{"x-queue-type", amqp_value::text("quorum")}}});
  probe.publish("", "quorum", "1");
  EXPECT_EQ(probe.get_many("quorum", 1, 30s).size(), 1u);
}

TEST_F(amqp_probe_test, a_consumer_gets_what_it_rejected_again_and_what_it_acked_not) {
  probe.declare_queue("q");
  probe.publish("", "q", "1");
  probe.publish("", "q", "2");
  probe.consume("q", 1);
  auto first = probe.next(30s);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->body, "1");
  EXPECT_FALSE(probe.next(0ms)) << "the prefetch lets one through";
  EXPECT_EQ(probe.queue("q")->consumers, 1u) << "commands and deliveries do not mix";
  probe.reject(first->delivery_tag, true);
  auto again = probe.next(30s);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->redelivered);
  probe.ack(again->delivery_tag);
  auto second = probe.next(30s);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->body, "2");
  probe.ack(second->delivery_tag);
  EXPECT_FALSE(probe.next(0ms));
  EXPECT_THROW(
      {
        probe.ack(99);
        probe.next(30s);
      },
      amqp_error);
}

TEST_F(amqp_probe_test, a_consumer_hears_that_its_queue_is_gone) {
  probe.declare_queue("q");
  probe.consume("q");
  amqp_probe(url).delete_queue("q");
  try {
    probe.next(30s);
    FAIL() << "nothing was said";
  } catch (const amqp_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("queue is gone"));
  }
}

TEST(amqp_probe, a_wrong_password_is_an_error) {
  const std::string url =
      "amqp://outboxd:wrong@127.0.0.1:" + std::to_string(shared_rabbitmq().port());
  EXPECT_THROW(amqp_probe{url + "/%2f"}, amqp_error);
}

TEST(amqp_value, prints_type_and_value) {
  std::ostringstream out;
  out << amqp_value::table(
      {{"a", amqp_value::array({amqp_value::int64(1), amqp_value::nothing()})}});
  EXPECT_EQ(out.str(), R"(F {"a": A [l 1, V null]})");
}

}  // namespace
}  // namespace outboxd::tests
