// Rows that a real RabbitMQ would close a channel or a connection over: what is known never reaches
// it, and its own log shows that. What cannot be known here costs one channel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/broker_log.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

class publisher_refusals : public testing::Test {
 protected:
  publisher_refusals() { amqp_probe(url()).declare_queue("q"); }

  std::string url(const std::string& query = {}) const {
    return shared_rabbitmq().url(vhost_) + (query.empty() ? "" : "?" + query);
  }

  const std::string vhost_ = shared_rabbitmq().create_vhost();
};

std::string nested(std::size_t levels) {
  return R"({"deep":)" + std::string(levels, '[') + std::string(levels, ']') + "}";
}

std::string one_header(std::size_t size) {
  return R"({"h":")" + std::string(size, 'x') + "\"}";
}

TEST_F(publisher_refusals, never_reach_the_broker) {
  const std::string too_long(256, 'n');
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  const broker_log log;
  std::vector<std::int64_t> bad;
  const auto add = [&](auto spoil) {
    outbox::message& row = p.row("", "q");
    spoil(row);
    bad.push_back(p.publish(row));
    p.publish("", "q");
  };
  for (const std::string& headers :
       {std::string(R"({"n":1e400})"), std::string(R"({"n":-1e400})"),
        std::string(R"({"n":9223372036854775808})"), std::string(R"({"a":[{"n":1e999}]})"),
        nested(5'000), one_header(140'000), R"({")" + too_long + R"(":1})",
        R"({"a":{")" + too_long + R"(":1}})", std::string(R"({"CC":"a"})"),
        std::string(R"({"CC":{"a":1}})"), std::string(R"({"CC":null})"),
        std::string(R"({"BCC":[1]})"), std::string(R"({"BCC":["a",["b"]]})"),
        std::string(R"({"x-outbox-id":"me"})"), std::string("[]"), std::string("nonsense")}) {
    add([&](auto& row) { row.headers = headers; });
  }
  add([&](auto& row) { row.exchange = too_long; });
  add([&](auto& row) { row.routing_key = too_long; });
  add([&](auto& row) { row.content_type = too_long; });
  add([&](auto& row) { row.content_encoding = too_long; });
  add([&](auto& row) { row.type = too_long; });
  add([&](auto& row) { row.correlation_id = too_long; });
  add([&](auto& row) { row.reply_to = too_long; });
  add([&](auto& row) { row.app_id = too_long; });
  add([&](auto& row) { row.expiration_ms = -1; });
  add([&](auto& row) { row.expiration_ms = 315'360'000'001; });
  ASSERT_TRUE(p.settle());
  for (const auto id : bad) {
    EXPECT_EQ(p.outcome_of(id), "invalid");
    EXPECT_THAT(p.outcomes().at(id).text, testing::Not(IsEmpty()));
  }
  EXPECT_EQ(p.count()["confirmed"], static_cast<int>(bad.size()));
  EXPECT_EQ(p.times_opened(), 1);
  EXPECT_THAT(log.other_complaints(url()), IsEmpty());
}

// Up to the last byte that fits, and from the first that does not.
TEST_F(publisher_refusals, begin_where_the_header_frame_is_larger_than_the_broker_takes) {
  publisher_driver p(url("frame_max=8192"));
  ASSERT_TRUE(p.start_and_open());
  const broker_log log;
  for (std::size_t size = 7'900; size < 8'300; ++size) {
    outbox::message& row = p.row("", "q");
    row.headers = one_header(size);
    p.publish(row);
  }
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["confirmed"] + p.count()["invalid"], 400);
  EXPECT_GT(p.count()["confirmed"], 10);
  EXPECT_GT(p.count()["invalid"], 10);
  EXPECT_EQ(p.times_opened(), 1);
  EXPECT_THAT(log.other_complaints(url()), IsEmpty());
}

TEST_F(publisher_refusals, do_not_go_further_than_needed) {
  const std::string longest(255, 'n');
  amqp_probe probe(url());
  probe.declare_exchange(longest, "fanout");
  probe.declare_queue("quorum", {.arguments = {{"x-queue-type", amqp_value::text("quorum")}}});
  probe.declare_queue("stream", {.arguments = {{"x-queue-type", amqp_value::text("stream")}}});
  for (const std::string queue : {"q", "quorum", "stream"}) probe.bind(queue, longest, "");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  const broker_log log;
  for (const std::string& headers :
       {R"({")" + longest + R"(":"","":1})", std::string(R"({"CC":["q"],"BCC":[]})"), nested(63),
        std::string(R"({"a":1.7976931348623157e308,"b":-9223372036854775808,"c":5e-324})"),
        std::string(R"({"o":{"t":true,"n":null},"a":[1,"x",{"k":[null]}],"u":"é€𝄞\u0001"})")}) {
    outbox::message& row = p.row(longest, longest);
    row.headers = headers;
    row.content_type = row.content_encoding = row.type = row.correlation_id = row.reply_to =
        row.app_id = longest;
    row.priority = 255;
    row.expiration_ms = 315'360'000'000;
    p.publish(row);
  }
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["confirmed"], 5) << p.log.text();
  EXPECT_THAT(log.other_complaints(url()), IsEmpty());
}

TEST_F(publisher_refusals, cannot_know_the_brokers_own_limit_of_size) {
  shared_rabbitmq().limit_message_size(1'000);
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  const broker_log log;
  const auto good = p.publish("", "q", std::string(1'000, 'x'));
  ASSERT_TRUE(p.settle());
  const auto large = p.publish("", "q", std::string(1'001, 'x'));
  ASSERT_TRUE(p.settle());
  shared_rabbitmq().limit_message_size(128u << 20);
  EXPECT_EQ(p.outcome_of(good), "confirmed");
  EXPECT_EQ(p.outcome_of(large), "unknown channel_closed 406");
  EXPECT_THAT(p.outcomes().at(large).text, HasSubstr("larger than configured max size 1000"));
  EXPECT_THAT(log.other_complaints(url()), testing::Not(IsEmpty()));
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  const auto next = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(next), "confirmed");
}

TEST_F(publisher_refusals, of_the_brokers_cost_one_channel_each_and_no_pause) {
  amqp_probe(url()).declare_exchange("internal", "fanout", {.internal = true});
  auto o = publisher_driver::options(url());
  o.reconnect_min = o.reconnect_max = 1h;  // nothing here waits for a back-off
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  for (int i = 0; i < 20; ++i) {
    const auto good = p.publish("", "q");
    ASSERT_TRUE(p.settle());
    const auto bad = p.publish("internal", "q");
    ASSERT_TRUE(p.settle());
    EXPECT_EQ(p.outcome_of(good), "confirmed");
    EXPECT_EQ(p.outcome_of(bad), "unknown channel_closed 403");
    ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  }
  EXPECT_EQ(p.log.lines("amqp.connected").size(), 1u);
}

TEST_F(publisher_refusals, have_a_connection_of_their_own_with_a_name) {
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  p.it().want_quarantine(true);
  ASSERT_TRUE(p.run_until([&] { return p.is_open(1); }));
  const std::string names = shared_rabbitmq().ctl({"list_connections", "client_properties"});
  EXPECT_THAT(names, HasSubstr("outboxd:test:0"));
  EXPECT_THAT(names, HasSubstr("outboxd:test:quarantine"));
}

}  // namespace
}  // namespace outboxd::tests
