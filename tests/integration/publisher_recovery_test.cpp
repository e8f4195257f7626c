// What the publisher does after a channel or a connection was lost: why it says it was, how fast it
// comes back, and that it never loops. Against a broker on a loopback socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scripted_broker.hpp"

namespace outboxd::tests {
namespace {

using testing::StartsWith;
using namespace std::chrono_literals;

TEST(a_lost_channel, is_open_again_after_one_round_trip) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.close_channel(1, 404, "NOT_FOUND - no exchange 'x'");
    // All of the client's part before any answer.
    b.read_until(method::channel_close_ok);
    if (b.read().method != method::channel_open) throw unexpected("no channel.open");
    if (b.read().method != method::confirm_select) throw unexpected("no confirm.select");
    b.send(std::string("\x01\x00\x01\x00\x00\x00\x08\x00\x14\x00\x0b\x00\x00\x00\x00\xCE", 16));
    b.send(std::string("\x01\x00\x01\x00\x00\x00\x04\x00\x55\x00\x0b\xCE", 12));
    b.take_publishes(1);
    b.ack(1);
    b.wait_for_the_end();
  });
  auto o = publisher_driver::options(broker.url());
  o.reconnect_min = o.reconnect_max = 1h;  // nothing here waits for a back-off
  publisher_driver p(o);
  p.sends_again = true;
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle()) << broker.complaints();
  EXPECT_EQ(p.outcome_of(row), "confirmed");
  EXPECT_EQ(p.times_opened(), 2);
  EXPECT_EQ(broker.connections(), 1);
}

TEST(a_channel_that_is_renewed, begins_with_tag_1_on_the_same_connection) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.nack(1);
    b.read_until(method::channel_close);
    b.send(std::string("\x01\x00\x01\x00\x00\x00\x04\x00\x14\x00\x29\xCE", 12));
    b.open_confirm_channel();
    b.take_publishes(1);
    b.ack(1);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto refused = p.publish("", "q");
  ASSERT_TRUE(p.settle()) << broker.complaints();
  EXPECT_EQ(p.outcome_of(refused), "nacked");
  p.renew();
  ASSERT_TRUE(p.run_until([&] { return p.times_opened() == 2; })) << broker.complaints();
  const auto taken = p.publish("", "q");
  ASSERT_TRUE(p.settle()) << broker.complaints();
  EXPECT_EQ(p.outcome_of(taken), "confirmed");
  EXPECT_EQ(broker.connections(), 1);
}

TEST(a_channel_that_is_renewed, and_not_answered_costs_the_connection) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    if (b.number() > 0) {
      b.take_publishes(1);
      b.ack(1);
    }
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url("connection_timeout=2000"));
  ASSERT_TRUE(p.start_and_open());
  p.renew();
  ASSERT_TRUE(p.run_until([&] { return p.times_opened() == 2; })) << broker.complaints();
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle()) << broker.complaints();
  EXPECT_EQ(p.outcome_of(row), "confirmed");
}

TEST(a_lost_channel, that_dies_again_and_again_is_no_loop) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    for (;;) {
      b.take_publishes(1);
      b.close_channel(1, 403, "ACCESS_REFUSED");
      b.read_until(method::channel_close_ok);
      b.open_confirm_channel();
    }
  });
  publisher_driver p(broker.url());
  p.sends_again = true;
  ASSERT_TRUE(p.start_and_open());
  p.publish("", "q");
  EXPECT_FALSE(p.run_until([&] { return p.times_opened() > 100; }, 2s)) << "a loop";
  EXPECT_TRUE(p.run_until([&] { return p.times_opened() > 12; })) << "it gave up";
  EXPECT_EQ(broker.connections(), 1);
}

TEST(a_lost_connection, is_known_by_the_brokers_words_though_a_reset_came_right_behind_them) {
  for (const bool with_confirms : {false, true}) {
    std::atomic<bool> taken = false, hung_up = false;
    scripted_broker broker([&](broker_side& b) {
      b.handshake();
      if (b.number() > 0) return (void)b.wait_for_the_end();
      b.take_publishes(2);
      taken = true;
      if (with_confirms) b.ack(1);
      b.close_connection(541, "INTERNAL_ERROR");
      b.reset();
      hung_up = true;
    });
    publisher_driver p(broker.url());
    ASSERT_TRUE(p.start_and_open());
    const auto first = p.publish("", "q");
    const auto second = p.publish("", "q");
    ASSERT_TRUE(p.run_until([&] { return taken.load(); }));
    ASSERT_TRUE(eventually(20s, [&] { return hung_up.load(); }));  // and nothing was read meanwhile
    ASSERT_TRUE(p.settle());
    EXPECT_EQ(p.outcome_of(first), with_confirms ? "confirmed" : "unknown connection_lost 541");
    EXPECT_EQ(p.outcome_of(second), "unknown connection_lost 541");
    EXPECT_EQ(p.outcomes().at(second).text, "INTERNAL_ERROR");
    EXPECT_THAT(p.last_close(), StartsWith("connection_lost 541 INTERNAL_ERROR"));
  }
}

// The write fails first: what the broker said before it hung up is still there to be read.
TEST(a_lost_connection, is_known_by_the_brokers_words_though_a_write_failed_before_they_were_read) {
  constexpr int rows = 20;
  std::atomic<bool> opened = false, hung_up = false;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    if (b.number() > 0) return (void)b.wait_for_the_end();
    if (!eventually(20s, [&] { return opened.load(); })) return;
    b.close_connection(501, "FRAME_ERROR");
    b.reset();
    hung_up = true;
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  opened = true;
  ASSERT_TRUE(eventually(20s, [&] { return hung_up.load(); }));
  for (int i = 0; i < rows; ++i) p.publish("", "q", std::string(200'000, 'x'));
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["unknown connection_lost 501"], rows);
}

TEST(a_lost_connection, that_had_no_words_has_no_code) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    if (b.number() > 0) return (void)b.wait_for_the_end();
    b.take_publishes(1);
    b.reset();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown connection_lost");
}

TEST(a_lost_connection, is_replaced_ever_more_slowly_while_connections_are_of_no_use) {
  scripted_broker broker([](broker_side& b) { b.handshake(); });  // greets, and hangs up
  auto o = publisher_driver::options(broker.url());
  o.reconnect_min = 1ms;
  o.reconnect_max = 500ms;
  publisher_driver p(o);
  p.start();
  EXPECT_FALSE(p.run_until([&] { return p.times_opened() > 30; }, 3s)) << "a loop";
  EXPECT_TRUE(p.run_until([&] { return p.times_opened() > 12; })) << "it gave up";
}

TEST(a_lost_connection, is_replaced_soon_when_it_was_of_use) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(2);
    b.ack(1);
  });
  auto o = publisher_driver::options(broker.url());
  o.reconnect_min = 1ms;
  o.reconnect_max = 1h;
  publisher_driver p(o);
  p.sends_again = true;
  ASSERT_TRUE(p.start_and_open());
  for (int i = 0; i < 50; ++i) p.publish("", "q");
  EXPECT_TRUE(p.run_until([&] { return p.count()["confirmed"] >= 45; })) << p.log.text();
}

TEST(confirms_that_never_come, cost_one_connection_for_each_timeout_and_no_more) {
  std::atomic<int> connections_with_rows = 0;
  std::atomic<int> resets = 0;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.take_publishes(3);
    ++connections_with_rows;
    if (b.wait_for_the_end() == how_it_ended::reset) ++resets;
  });
  auto o = publisher_driver::options(broker.url());
  o.confirm_timeout = 200ms;
  o.reconnect_min = 1ms;
  o.reconnect_max = 1h;  // only a first back-off is ever waited for
  publisher_driver p(o);
  p.sends_again = true;
  ASSERT_TRUE(p.start_and_open());
  for (int i = 0; i < 3; ++i) p.publish("", "q");
  ASSERT_TRUE(p.run_until([&] { return p.times_opened() == 6; })) << p.log.text();
  EXPECT_THAT(p.last_close(), StartsWith("timeout 0"));
  EXPECT_EQ(p.log.lines("amqp.confirm_timeout").size(), 5u);
  EXPECT_EQ(broker.connections(), 6) << "a connection that was not given all rows";
  EXPECT_TRUE(eventually(30s, [&] { return connections_with_rows >= 5 && resets >= 5; }));
}

}  // namespace
}  // namespace outboxd::tests
