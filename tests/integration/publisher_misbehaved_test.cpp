// The publisher against a broker that does what no good broker does, on a loopback socket.
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
using testing::StartsWith;
using namespace std::chrono_literals;

// A tenth of the shortest heartbeat interval, as a broker that lives but does not read.
void say_alive(broker_side& b) {
  b.heartbeat();
  std::this_thread::sleep_for(100ms);
}

TEST(publisher_with_a_scripted_broker, confirms_what_the_broker_acks) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(3);
    b.ack(3, true);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  for (int i = 0; i < 3; ++i) p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["confirmed"], 3);
  EXPECT_THAT(p.log.last("amqp.connected"),
              StartsWith("amqp.connected lane=0 node=amqp://guest:***@localhost:"));
  EXPECT_THAT(p.log.last("amqp.connected"),
              HasSubstr(" product=ScriptedMQ version=1.0 cluster=scripted tls=no"));
}

TEST(publisher_with_a_scripted_broker, closes_gracefully) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.read_until(method::connection_close);
    b.close_ok();
    if (b.wait_for_the_end() != how_it_ended::closed) throw unexpected("a reset");
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  ASSERT_TRUE(p.stop());
  EXPECT_EQ(p.open_lanes(), 0u);
  EXPECT_THAT(p.last_close(), StartsWith("connection_lost 200 stopped"));
  EXPECT_TRUE(p.stop()) << "a second time";
  EXPECT_EQ(broker.complaints(), "");
}

TEST(publisher_with_a_scripted_broker, resets_a_connection_whose_close_is_not_answered) {
  std::atomic<bool> was_reset = false;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.read_until(method::connection_close);
    was_reset = b.wait_for_the_end() == how_it_ended::reset;
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.stop(50ms));
  EXPECT_EQ(p.outcome_of(row), "unknown connection_lost");
  EXPECT_TRUE(eventually(30s, [&] { return was_reset.load(); }));
}

TEST(publisher_with_a_scripted_broker, may_be_stopped_before_it_was_started) {
  publisher_driver p("amqp://localhost:1/");
  ASSERT_TRUE(p.stop());
  p.start();
  EXPECT_TRUE(p.stop());
}

TEST(publisher_with_a_scripted_broker, may_be_destroyed_while_it_is_connected) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  p.publish("", "q");
}

TEST(publisher_with_a_scripted_broker, gives_a_connection_up_when_confirms_stop) {
  std::atomic<bool> was_reset = false;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.take_publishes(2);
    if (b.number() > 0) return b.ack(2, true);
    b.ack(1);
    was_reset = b.wait_for_the_end() == how_it_ended::reset;
  });
  auto o = publisher_driver::options(broker.url());
  o.confirm_timeout = 100ms;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  const auto acked = p.publish("", "q");
  const auto lost = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(acked), "confirmed");
  EXPECT_EQ(p.outcome_of(lost), "unknown timeout");
  EXPECT_THAT(p.last_close(), StartsWith("timeout 0"));
  EXPECT_TRUE(eventually(30s, [&] { return was_reset.load(); }))
      << "what the connection still held must not be published later";
  EXPECT_THAT(p.log.last("amqp.confirm_timeout"), HasSubstr("unconfirmed=1"));
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); })) << "the lane opens again";
  EXPECT_EQ(broker.connections(), 2);
}

TEST(publisher_with_a_scripted_broker, takes_a_silent_broker_for_dead) {
  std::atomic<bool> was_reset = false;
  scripted_broker broker([&](broker_side& b) {
    b.handshake(1);
    was_reset = b.wait_for_the_end() == how_it_ended::reset;
  });
  publisher_driver p(broker.url("heartbeat=1"));
  ASSERT_TRUE(p.start_and_open());
  ASSERT_TRUE(p.run_until([&] { return !p.is_open(0); }));
  EXPECT_THAT(p.last_close(), HasSubstr("nothing received for two heartbeat intervals"));
  EXPECT_TRUE(eventually(30s, [&] { return was_reset.load(); }));
}

TEST(publisher_with_a_scripted_broker, takes_a_broker_that_reads_nothing_for_dead) {
  scripted_broker broker([](broker_side& b) {
    b.handshake(1);
    if (b.number() > 0) b.wait_for_the_end();
    for (;;) say_alive(b);  // until the client hangs up
  });
  publisher_driver p(broker.url("heartbeat=1"));
  ASSERT_TRUE(p.start_and_open());
  const std::string body(1'000'000, 'x');
  for (int i = 0; i < 30; ++i) p.publish("", "q", body);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["unknown connection_lost"], 30);
}

TEST(publisher_with_a_scripted_broker, never_believes_a_confirm_for_what_it_did_not_publish) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.ack(2);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown connection_lost 503");
  EXPECT_THAT(p.log.last("amqp.protocol_error"), HasSubstr("confirmed tag 2, which it never got"));
}

TEST(publisher_with_a_scripted_broker, never_believes_a_second_confirm) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(2);
    b.ack(1);
    b.nack(1);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto first = p.publish("", "q");
  const auto second = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(first), "confirmed");
  EXPECT_EQ(p.outcome_of(second), "unknown connection_lost 503");
}

TEST(publisher_with_a_scripted_broker, gives_up_a_broker_that_talks_garbage) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.send("GET / HTTP/1.1\r\n\r\n");
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_THAT(p.outcome_of(row), StartsWith("unknown connection_lost 5"));
  EXPECT_THAT(p.log.last("amqp.disconnected"), HasSubstr("protocol error"));
}

TEST(publisher_with_a_scripted_broker, tells_why_the_broker_closed_the_connection) {
  std::atomic<int> answered = 0;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.close_connection(320, "CONNECTION_FORCED - broker forced connection closure");
    b.read_until(method::connection_close_ok);
    ++answered;
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown connection_lost 320");
  EXPECT_THAT(p.last_close(), HasSubstr("CONNECTION_FORCED"));
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  EXPECT_TRUE(eventually(30s, [&] { return answered >= 1; }));
}

TEST(publisher_with_a_scripted_broker, opens_a_closed_channel_again_on_the_same_connection) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(2);
    b.close_channel(1, 403, "ACCESS_REFUSED - access to exchange 'x'");
    b.read_until(method::channel_close_ok);
    b.open_confirm_channel();
    b.take_publishes(1);
    b.ack(1);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto first = p.publish("", "q");
  const auto second = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(first), "unknown channel_closed 403");
  EXPECT_EQ(p.outcome_of(second), "unknown channel_closed 403");
  EXPECT_THAT(p.log.last("amqp.channel_closed"), HasSubstr("code=403 text=ACCESS_REFUSED"));
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); }));
  const auto third = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(third), "confirmed") << "tags start at 1 again";
  EXPECT_EQ(broker.connections(), 1);
}

TEST(publisher_with_a_scripted_broker, every_row_gets_its_outcome_when_it_is_sent_again_at_once) {
  for (const bool channel_only : {false, true}) {
    scripted_broker broker([channel_only](broker_side& b) {
      b.handshake();
      b.take_publishes(2);
      if (channel_only) {
        b.close_channel(1, 541, "INTERNAL_ERROR");
        b.read_until(method::channel_close_ok);
        b.open_confirm_channel();
        b.take_publishes(2);
      } else if (b.number() == 0) {
        return b.cut();
      }
      b.ack(2, true);
      b.wait_for_the_end();
    });
    publisher_driver p(broker.url());
    p.sends_again = true;
    ASSERT_TRUE(p.start_and_open());
    p.publish("", "q");
    p.publish("", "q");
    EXPECT_TRUE(p.settle(5s));
    EXPECT_EQ(p.count()["confirmed"], 2);
  }
}

TEST(publisher_with_a_scripted_broker, suspects_the_login_when_the_broker_hangs_up_after_it) {
  scripted_broker broker([](broker_side& b) { b.greet(); });
  publisher_driver p(broker.url());
  p.start();
  ASSERT_TRUE(p.run_until([&] { return broker.connections() >= 3; })) << "it tries again";
  EXPECT_THAT(p.log.last("amqp.connect_failed"), HasSubstr("are user and password right?"));
  EXPECT_EQ(p.times_opened(), 0);
}

TEST(publisher_with_a_scripted_broker, names_the_mechanisms_that_are_offered) {
  scripted_broker broker([](broker_side& b) { b.greet("EXTERNAL RABBIT-CR-DEMO"); });
  publisher_driver p(broker.url());
  p.start();
  ASSERT_TRUE(p.run_until([&] { return !p.log.lines("amqp.connect_failed").empty(); }));
  EXPECT_THAT(p.log.last("amqp.connect_failed"),
              HasSubstr("mechanism PLAIN, it offers EXTERNAL RABBIT-CR-DEMO"));
}

TEST(publisher_with_a_scripted_broker, does_not_wait_for_ever_for_a_handshake) {
  scripted_broker broker([](broker_side& b) { b.wait_for_the_end(); });
  publisher_driver p(broker.url("connection_timeout=100"));
  p.start();
  ASSERT_TRUE(p.run_until([&] { return !p.log.lines("amqp.connect_failed").empty(); }));
  EXPECT_THAT(p.log.last("amqp.connect_failed"), HasSubstr("waiting for connection.start"));
}

TEST(publisher_with_a_scripted_broker, refuses_a_row_that_is_too_large_without_sending_it) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.ack(1);
    b.wait_for_the_end();
  });
  auto o = publisher_driver::options(broker.url());
  o.max_message_size = 10;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  const auto large = p.publish("", "q", "12345678901");
  const auto small = p.publish("", "q", "1234567890");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(large), "too_large");
  EXPECT_EQ(p.outcome_of(small), "confirmed");
}

TEST(publisher_with_a_scripted_broker, reads_its_secrets_again_for_every_attempt) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.wait_for_the_end();
  });
  int asked = 0;
  auto o = publisher_driver::options("");
  o.nodes = [&]() -> base::result<std::vector<relay::amqp::endpoint>> {
    if (++asked < 3) return base::failure{base::failure_kind::bad_input, "no such file"};
    return relay::amqp::parse_uris(broker.url());
  };
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  EXPECT_EQ(asked, 3);
  EXPECT_THAT(p.log.last("amqp.connect_failed"), HasSubstr("error=no such file"));
}

TEST(publisher_with_a_scripted_broker, goes_to_the_next_node_at_once) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.wait_for_the_end();
  });
  auto o = publisher_driver::options("amqp://localhost:1/%2f," + broker.url());
  o.reconnect_min = o.reconnect_max = 1h;
  for (const double luck : {0.0, 0.99}) {  // whichever comes first
    o.random = [luck] { return luck; };
    publisher_driver p(o);
    EXPECT_TRUE(p.start_and_open());
  }
}

}  // namespace
}  // namespace outboxd::tests
