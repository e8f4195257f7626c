// What an ex-leader does to its connections, against a broker on a loopback socket; and what is
// left of a lane that was stopped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <memory>
#include <thread>

#include "relay/amqp/lane.hpp"

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/scripted_broker.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

TEST(an_abandoned_publisher, resets_every_connection_and_connects_again_when_it_is_started) {
  std::atomic<int> taken = 0, resets = 0;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    if (b.number() < 2) {
      b.take_publishes(1);
      ++taken;
      if (b.wait_for_the_end() == how_it_ended::reset) ++resets;
      return;
    }
    b.take_publishes(1);
    b.ack(1);
    b.wait_for_the_end();
  });
  auto o = publisher_driver::options(broker.url());
  o.lanes = 2;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  const auto first = p.publish(p.row("", "q"), 0);
  const auto second = p.publish(p.row("", "q"), 1);
  ASSERT_TRUE(p.run_until([&] { return taken == 2; }));
  p.it().abandon("another leads");
  EXPECT_EQ(p.open_lanes(), 0u);
  EXPECT_EQ(p.outcome_of(first), "unknown connection_lost");
  EXPECT_EQ(p.outcome_of(second), "unknown connection_lost");
  EXPECT_EQ(p.last_close(), "connection_lost 0 another leads");
  ASSERT_TRUE(p.run_until([&] { return resets == 2; }));
  EXPECT_EQ(broker.connections(), 2) << "it connects when it leads, and not before";

  ASSERT_TRUE(p.start_and_open());
  const auto again = p.publish(p.row("", "q"), 1);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(again), "confirmed");
}

// A stand-by that has just lost the lead may well be told to end.
TEST(an_abandoned_publisher, can_be_stopped_and_abandoned_again) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  p.it().abandon("before the start");
  ASSERT_TRUE(p.start_and_open());
  p.it().abandon("another leads");
  p.it().abandon("another leads");
  ASSERT_TRUE(p.stop());
  p.it().abandon("it has ended");
  EXPECT_EQ(broker.connections(), 1);
}

class deaf final : public relay::publisher_events {
  void lane_opened(relay::lane_id) override {}
  void lane_closed(relay::lane_id, relay::doubt, int, const std::string&) override {}
  void lane_blocked(relay::lane_id, bool, const std::string&) override {}
  void outcomes(relay::lane_id, std::span<const relay::outcome>) override {}
};

// What is queued already is not cancelled any more.
TEST(a_stopped_lane, leaves_nothing_to_do_although_its_timer_has_just_gone_off) {
  boost::asio::io_context io;
  recording_log log;
  deaf events;
  relay::amqp::lane_options o;
  o.confirm_timeout = 0ms;
  o.link.nodes = [] { return base::failure{base::failure_kind::bad_input, "there is none"}; };
  o.link.reconnect = {1h, 1h};
  o.link.connection.random = [] { return 0.5; };
  const auto lane = std::make_shared<relay::amqp::lane>(0, io.get_executor(), o, log);

  boost::asio::steady_timer before(io, 0ms);
  before.async_wait([&](boost::system::error_code) { lane->stop(1s, [] {}); });
  lane->start(events);
  // Both have gone off when the first of them is heard.
  std::this_thread::sleep_until(before.expiry() + 100ms);
  io.run_for(20s);
  EXPECT_TRUE(io.stopped()) << "run() would not return";
}

}  // namespace
}  // namespace outboxd::tests
