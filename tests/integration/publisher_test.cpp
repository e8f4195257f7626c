// The publisher against a real RabbitMQ. What it says became of a row is compared with what the
// queues hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

class publisher_on_rabbitmq : public testing::Test {
 protected:
  static void SetUpTestSuite() { vhost() = shared_rabbitmq().create_vhost(); }

  static std::string& vhost() {
    static std::string name;
    return name;
  }
  static std::string url(const std::string& query = {}) {
    return shared_rabbitmq().url(vhost()) + (query.empty() ? "" : "?" + query);
  }
  // The URL of another user, "user:password@host…".
  static std::string url_as(const std::string& user, const std::string& password) {
    const std::string u = url();
    return "amqp://" + user + ":" + password + u.substr(u.find('@'));
  }
  // Fails the test when there is no such queue: a lost queue is not an empty one.
  static std::size_t depth(const std::string& queue) {
    const auto state = amqp_probe(url()).queue(queue);
    EXPECT_TRUE(state) << "there is no queue " << queue;
    return state ? state->messages : 0;
  }
  static void declare_queue(const std::string& name, const amqp_table& arguments = {}) {
    amqp_probe(url()).declare_queue(name, {.arguments = arguments});
  }
  // Nothing can be published while this lives.
  struct memory_alarm {
    memory_alarm() { shared_rabbitmq().ctl({"set_vm_memory_high_watermark", "0.00000001"}); }
    ~memory_alarm() { clear(); }
    void clear() {
      if (std::exchange(cleared_, true)) return;
      shared_rabbitmq().ctl({"set_vm_memory_high_watermark", "0.4"});
    }

   private:
    bool cleared_ = false;
  };
};

TEST_F(publisher_on_rabbitmq, confirms_ten_thousand_rows_over_two_lanes) {
  declare_queue("many");
  auto o = publisher_driver::options(url());
  o.lanes = 2;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  const std::string body(512, 'x');
  for (std::size_t i = 0; i < 10'000; ++i) p.publish(p.row("", "many", body), i % 2);
  ASSERT_TRUE(p.settle(60s));
  EXPECT_EQ(p.count()["confirmed"], 10'000);
  EXPECT_EQ(depth("many"), 10'000u);
  EXPECT_THAT(p.log.last("amqp.connected"), HasSubstr("product=RabbitMQ version="));
  EXPECT_TRUE(p.stop());
}

TEST_F(publisher_on_rabbitmq, keeps_the_order_of_a_lane) {
  declare_queue("ordered");
  amqp_probe(url()).declare_exchange("orders", "fanout");
  amqp_probe(url()).bind("ordered", "orders", "");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  for (int i = 0; i < 1'000; ++i) {
    outbox::message& row = p.row(i % 2 == 0 ? "orders" : "", "ordered", std::to_string(i));
    row.ordering_key = "k";
    p.publish(row);
  }
  ASSERT_TRUE(p.settle());
  amqp_probe probe(url());
  for (int i = 0; i < 1'000; ++i) {
    const auto message = probe.get("ordered");
    ASSERT_TRUE(message);
    ASSERT_EQ(message->body, std::to_string(i));
  }
}

TEST_F(publisher_on_rabbitmq, never_takes_a_returned_row_for_confirmed) {
  declare_queue("bound");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  const auto nowhere = p.publish("", "no such queue");
  const auto somewhere = p.publish("", "bound");
  outbox::message& optional = p.row("", "no such queue");
  optional.mandatory = false;
  p.publish(optional);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(nowhere), "returned 312");
  EXPECT_EQ(p.outcomes().at(nowhere).text, "NO_ROUTE");
  EXPECT_EQ(p.outcome_of(somewhere), "confirmed");
  EXPECT_EQ(p.outcome_of(optional.ref.id), "confirmed") << "nobody wants it, and that is all right";
}

TEST_F(publisher_on_rabbitmq, a_missing_exchange_costs_only_its_own_rows_and_may_come_later) {
  declare_queue("late");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  const auto first = p.publish("late exchange", "k");
  const auto other = p.publish("amq.direct", "nobody");
  const auto good = p.publish("", "late");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(first), "no_exchange 404");
  EXPECT_THAT(p.outcomes().at(first).text, HasSubstr("no exchange 'late exchange' in vhost"));
  EXPECT_EQ(p.outcome_of(other), "returned 312");
  EXPECT_EQ(p.outcome_of(good), "confirmed");
  EXPECT_EQ(p.times_opened(), 1) << "the channel was not lost over it";
  EXPECT_THAT(p.log.last("amqp.exchange_missing"), HasSubstr("exchange=late exchange code=404"));

  amqp_probe(url()).declare_exchange("late exchange", "topic");
  amqp_probe(url()).bind("late", "late exchange", "k");
  const auto second = p.publish("late exchange", "k");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(second), "confirmed");
  EXPECT_EQ(depth("late"), 2u);
}

TEST_F(publisher_on_rabbitmq,
       an_exchange_deleted_in_flight_loses_the_channel_and_is_then_known_as_missing) {
  amqp_probe(url()).declare_exchange("fleeting", "fanout");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  p.publish("fleeting", "k");
  ASSERT_TRUE(p.settle());
  amqp_probe(url()).delete_exchange("fleeting");
  const auto row = p.publish("fleeting", "k");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown channel_closed 404");
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  const auto again = p.publish("fleeting", "k");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(again), "no_exchange 404");
  EXPECT_EQ(p.times_opened(), 2);
}

TEST_F(publisher_on_rabbitmq, a_full_queue_holds_what_was_confirmed_and_nothing_else) {
  declare_queue("full", {{"x-max-length", amqp_value::int64(100)},
                         {"x-overflow", amqp_value::text("reject-publish")}});
  declare_queue("roomy");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  std::set<std::int64_t> roomy;
  for (int i = 0; i < 1'000; ++i) {
    const bool room = i % 3 == 0;
    const auto id = p.publish("", room ? "roomy" : "full");
    if (room) roomy.insert(id);
  }
  ASSERT_TRUE(p.settle());
  std::size_t stored = 0;
  for (const auto& [id, o] : p.outcomes()) {
    if (roomy.contains(id)) {
      EXPECT_EQ(p.outcome_of(id), "confirmed");
    } else {
      EXPECT_THAT(p.outcome_of(id), testing::AnyOf("confirmed", "nacked"));
      stored += o.what == relay::verdict::confirmed ? 1 : 0;
    }
  }
  EXPECT_EQ(depth("full"), stored);
  EXPECT_LT(stored, 300u);
  EXPECT_EQ(depth("roomy"), roomy.size());
}

TEST_F(publisher_on_rabbitmq, refuses_locally_what_would_kill_the_channel) {
  declare_queue("strict");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  outbox::message& bad = p.row("", "strict");
  bad.headers = R"({"CC": "not an array"})";
  p.publish(bad);
  const auto good = p.publish("", "strict");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(bad.ref.id), "invalid");
  EXPECT_EQ(p.outcome_of(good), "confirmed");
  EXPECT_EQ(p.times_opened(), 1);
}

TEST_F(publisher_on_rabbitmq,
       a_forbidden_row_makes_its_neighbours_unknown_and_the_lane_opens_again) {
  rabbitmq_server& rabbit = shared_rabbitmq();
  rabbit.ctl({"add_user", "limited", "secret"});
  rabbit.ctl({"set_permissions", "-p", vhost(), "limited", "^$", "^amq\\.default$", "^$"});
  declare_queue("allowed");
  publisher_driver p(url_as("limited", "secret"));
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  constexpr int before = 200;
  for (int i = 0; i < before; ++i) p.publish("", "allowed");
  const auto forbidden = p.publish("amq.topic", "k");
  for (int i = 0; i < 100; ++i) p.publish("", "allowed");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(forbidden), "unknown channel_closed 403");
  EXPECT_THAT(p.last_close(), StartsWith("channel_closed 403 ACCESS_REFUSED"));
  EXPECT_THAT(p.log.last("amqp.channel_closed"), HasSubstr("refused for user 'limited'"));
  auto count = p.count();
  EXPECT_EQ(count["confirmed"] + count["unknown channel_closed 403"], before + 101);
  EXPECT_GE(depth("allowed"), static_cast<std::size_t>(count["confirmed"]));

  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  const auto after = p.publish("", "allowed");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(after), "confirmed");
}

TEST_F(publisher_on_rabbitmq, logs_in_with_amqplain) {
  declare_queue("amqplain");
  publisher_driver p(url("auth_mechanism=amqplain"));
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  const auto row = p.publish("", "amqplain");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
}

TEST_F(publisher_on_rabbitmq, says_that_the_password_is_wrong_and_never_what_it_was) {
  publisher_driver p(url_as("outboxd", "wrong-password"));
  p.start();
  ASSERT_TRUE(p.run_until([&] { return !p.log.lines("amqp.connect_failed").empty(); }));
  EXPECT_THAT(p.log.last("amqp.connect_failed"),
              HasSubstr("403 ACCESS_REFUSED - Login was refused"));
  EXPECT_THAT(p.log.text(), testing::Not(HasSubstr("wrong-password")));
}

TEST_F(publisher_on_rabbitmq, says_that_the_vhost_is_missing) {
  publisher_driver p(shared_rabbitmq().url("nowhere"));
  p.start();
  ASSERT_TRUE(p.run_until([&] { return !p.log.lines("amqp.connect_failed").empty(); }));
  EXPECT_THAT(p.log.last("amqp.connect_failed"),
              HasSubstr("530 NOT_ALLOWED - vhost nowhere not found"));
}

TEST_F(publisher_on_rabbitmq, leaves_a_dead_node_for_a_living_one) {
  publisher_driver p("amqp://localhost:1/," + url());
  EXPECT_TRUE(p.start_and_open()) << p.log.text();
}

TEST_F(publisher_on_rabbitmq, an_idle_connection_is_kept_alive_by_heartbeats) {
  publisher_driver p(url("heartbeat=2"));
  ASSERT_TRUE(p.start_and_open());
  EXPECT_FALSE(p.run_until([&] { return !p.is_open(0); }, 8s)) << p.last_close();
}

TEST_F(publisher_on_rabbitmq, comes_back_after_an_operator_closed_its_connection) {
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  shared_rabbitmq().ctl({"close_all_connections", "--global", "maintenance"});
  ASSERT_TRUE(p.run_until([&] { return p.times_opened() == 2; })) << p.log.text();
  EXPECT_THAT(p.last_close(), StartsWith("connection_lost 320 CONNECTION_FORCED"));
  EXPECT_THAT(p.log.last("amqp.disconnected"), HasSubstr("maintenance"));
}

TEST_F(publisher_on_rabbitmq, waits_while_the_broker_is_short_of_memory) {
  declare_queue("alarm");
  auto o = publisher_driver::options(url());
  o.confirm_timeout = 5s;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  memory_alarm alarm;
  // The broker tells a connection only when it publishes.
  p.publish("", "alarm");
  ASSERT_TRUE(p.run_until([&] { return p.is_blocked(); }));
  EXPECT_THAT(p.log.last("amqp.blocked"), HasSubstr("low on memory"));
  EXPECT_FALSE(p.run_until([&] { return !p.is_open(0); }, 6s)) << "longer than the confirm timeout";
  alarm.clear();
  ASSERT_TRUE(p.run_until([&] { return !p.is_blocked(); }));
  for (int i = 0; i < 100; ++i) p.publish("", "alarm");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["confirmed"], 101);
  EXPECT_EQ(depth("alarm"), 101u);
  EXPECT_EQ(p.times_opened(), 1);
}

TEST_F(publisher_on_rabbitmq, can_be_stopped_while_the_broker_is_short_of_memory) {
  declare_queue("stopped");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  memory_alarm alarm;
  const std::string body(100'000, 'x');
  for (int i = 0; i < 100; ++i) p.publish("", "stopped", body);
  ASSERT_TRUE(p.run_until([&] { return p.is_blocked(); }));
  ASSERT_TRUE(p.stop(1h)) << "the broker would answer only after the alarm";
  EXPECT_EQ(p.outcomes().size(), 100u);
  auto count = p.count();
  EXPECT_EQ(count["confirmed"] + count["unknown connection_lost"], 100);
  EXPECT_GT(count["unknown connection_lost"], 0);
  alarm.clear();
  EXPECT_GE(depth("stopped"), static_cast<std::size_t>(count["confirmed"]));
}

TEST_F(publisher_on_rabbitmq, comes_back_when_the_broker_was_restarted) {
  declare_queue("restart");
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  p.publish("", "restart");
  ASSERT_TRUE(p.settle());
  shared_rabbitmq().stop();
  ASSERT_TRUE(p.run_until([&] { return !p.is_open(0); }));
  EXPECT_THAT(p.last_close(), StartsWith("connection_lost "));
  shared_rabbitmq().start();
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  const auto row = p.publish("", "restart");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
  EXPECT_EQ(depth("restart"), 2u);
}

TEST_F(publisher_on_rabbitmq, every_row_has_an_outcome_when_the_broker_is_killed) {
  declare_queue("killed");
  // A queue that was declared a moment before kill -9 can be gone afterwards, its messages with it:
  // the broker writes its metadata log lazily. What is tested here is the messages.
  shared_rabbitmq().ctl({"eval", "mnesia:sync_log()."});
  publisher_driver p(url());
  ASSERT_TRUE(p.start_and_open());
  for (int i = 0; i < 20'000; ++i) p.publish("", "killed");
  ASSERT_TRUE(p.run_until([&] { return p.count()["confirmed"] > 100; }));
  shared_rabbitmq().kill();
  ASSERT_TRUE(p.settle());
  auto count = p.count();
  EXPECT_EQ(count["confirmed"] + count["unknown connection_lost"], 20'000);
  shared_rabbitmq().start();
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  EXPECT_GE(depth("killed"), static_cast<std::size_t>(count["confirmed"]))
      << "what was confirmed is there";
}

}  // namespace
}  // namespace outboxd::tests
