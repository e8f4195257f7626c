// The publisher against a broker that is out of memory or disk (connection.blocked), on a loopback
// socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scripted_broker.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

// A tenth of the shortest heartbeat interval, as a broker that lives but does not read.
void say_alive(broker_side& b) {
  b.heartbeat();
  std::this_thread::sleep_for(100ms);
}

TEST(publisher_with_a_scripted_broker, the_confirm_clock_stands_still_while_blocked) {
  std::atomic<bool> go_on = false;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.blocked("low on memory");
    if (!eventually(20s, [&] { return go_on.load(); })) return;
    b.unblocked();
    b.ack(1);
    b.wait_for_the_end();
  });
  auto o = publisher_driver::options(broker.url());
  o.confirm_timeout = 200ms;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.run_until([&] { return p.is_blocked(); }));
  EXPECT_FALSE(p.settle(600ms)) << "three times the timeout";
  EXPECT_TRUE(p.is_open(0));
  go_on = true;
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
  EXPECT_FALSE(p.is_blocked());
  EXPECT_THAT(p.log.last("amqp.blocked"), HasSubstr("reason=low on memory"));
  EXPECT_EQ(p.log.lines("amqp.unblocked").size(), 1u);
}

TEST(publisher_with_a_scripted_broker, withholds_what_was_not_written_when_it_is_blocked) {
  constexpr std::size_t size = 16'000'000;
  std::atomic<std::size_t> while_blocked = 0, afterwards = 0;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.blocked("low on memory");
    while_blocked = b.take_until_quiet(500ms);
    b.unblocked();
    afterwards = b.take_until_quiet(3s);
    b.ack(2, true);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  p.publish("", "q");
  p.publish("", "q", std::string(size, 'x'));
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["confirmed"], 2);
  EXPECT_GT(while_blocked + afterwards, size);
  EXPECT_LT(while_blocked, size / 2) << "it went on writing while it was blocked";
}

TEST(publisher_with_a_scripted_broker, a_blocked_broker_that_reads_nothing_is_not_dead) {
  constexpr int rows = 200;
  scripted_broker broker([&](broker_side& b) {
    b.handshake(1);
    // Not reading until the kernel's buffers are full, then longer than a dead peer is believed.
    for (int i = 0; i < 3; ++i) say_alive(b);
    b.blocked("low on memory");
    for (int i = 0; i < 40; ++i) say_alive(b);
    b.unblocked();
    b.take_publishes(rows);
    b.ack(rows, true);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url("heartbeat=1"));
  ASSERT_TRUE(p.start_and_open());
  const std::string body(200'000, 'x');
  for (int i = 0; i < rows; ++i) p.publish("", "q", body);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["confirmed"], rows);
  EXPECT_EQ(broker.connections(), 1);
}

TEST(publisher_with_a_scripted_broker, is_stopped_at_once_while_blocked) {
  std::atomic<bool> was_reset = false;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.blocked("low on memory");
    was_reset = b.wait_for_the_end() == how_it_ended::reset;
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.run_until([&] { return p.is_blocked(); }));
  ASSERT_TRUE(p.stop(1h));
  EXPECT_EQ(p.outcome_of(row), "unknown connection_lost");
  EXPECT_TRUE(eventually(30s, [&] { return was_reset.load(); }));
}

}  // namespace
}  // namespace outboxd::tests
