// The publisher against a broker that means harm, on a loopback socket: whatever it sends, no row
// is taken for sent, memory stays where it was, and the next connection works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/scripted_broker.hpp"
#include "tests/unit/broker_frames.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using relay::amqp::a_return;
using relay::amqp::a_return_method;
using relay::amqp::an_ack;
using relay::amqp::field;
using relay::amqp::start_with;
using testing::HasSubstr;
using testing::StartsWith;
using script = scripted_broker::script;

std::string row_id(const outbox::message& row) {
  return to_string(row.ref.message_id);
}

std::string a_return_of(const outbox::message& row) {
  return a_return_method(1) + wire::a_content_header(1, 0, 1 << 7, wire::short_string(row_id(row)));
}

// The most this process has ever held, in kilobytes.
long peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Hostile on its first connection, well behaved on the others.
script first_hostile(script hostility) {
  return [hostility = std::move(hostility)](broker_side& b) {
    if (b.number() == 0) {
      hostility(b);
    } else {
      b.handshake();
      b.take_publishes(1);
      b.ack(1);
    }
    b.wait_for_the_end();
  };
}

void works_again(publisher_driver& p, const scripted_broker& broker) {
  ASSERT_TRUE(p.run_until([&] { return p.is_open(0); })) << "it connects again";
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
  EXPECT_EQ(broker.connections(), 2);
}

// What comes instead of the answer to a publish.
void gives_up(const script& hostility, const char* why) {
  const long before = peak_memory();
  scripted_broker broker(first_hostile([&](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    hostility(b);
  }));
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_THAT(p.outcome_of(row), StartsWith("unknown connection_lost 50")) << why;
  EXPECT_THAT(p.log.last("amqp.disconnected"), HasSubstr(why));
  works_again(p, broker);
  EXPECT_LT(peak_memory() - before, 64 * 1024) << "kilobytes more than before";
}

script sends(const std::string& bytes) {
  return [bytes](broker_side& b) { b.send(bytes); };
}

// Until the client hangs up.
script sends_for_ever(const std::string& bytes) {
  return [bytes](broker_side& b) {
    for (;;) b.send(bytes);
  };
}

TEST(publisher_with_a_hostile_broker, does_not_believe_tags_that_make_no_sense) {
  gives_up(sends(an_ack(1, 0, false)), "confirmed tag 0, which it never got");
  gives_up(sends(an_ack(1, ~0ull, true)), "confirmed tag 18446744073709551615");
  gives_up(sends(an_ack(2, 1, false)), "unexpected basic.ack");
}

TEST(publisher_with_a_hostile_broker, takes_tag_0_multiple_for_everything_once) {
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.take_publishes(2);
    b.ack(0, true);
    b.ack(0, true);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  p.publish("", "q");
  p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["confirmed"], 2);
}

TEST(publisher_with_a_hostile_broker, refuses_huge_frames_by_their_header) {
  gives_up(sends("\1" + wire::number(1, 2) + wire::number(~0u, 4)), "a frame of 4294967295 bytes");
  gives_up(sends_for_ever(wire::a_frame(3, 1, std::string(200'000, 'x'))), "a frame of 200000");
}

TEST(publisher_with_a_hostile_broker, refuses_frames_on_channels_that_are_not_open) {
  gives_up(sends_for_ever(wire::a_frame(3, 9, std::string(100'000, 'x'))),
           "a frame on channel 9, which is not open");
}

TEST(publisher_with_a_hostile_broker, refuses_contents_it_never_asked_for) {
  gives_up(sends_for_ever(wire::a_frame(3, 1, std::string(100'000, 'x'))), "out of place");
  gives_up(sends(wire::a_content_header(1, 1, 0, "")), "out of place");
  gives_up(sends(wire::a_method(1, 60, 60,
                                wire::short_string("c") + wire::number(1, 8) + wire::number(0, 1) +
                                    wire::short_string("") + wire::short_string(""))),
           "unexpected AMQP_BASIC_DELIVER_METHOD");
  gives_up(sends(a_return(1, "of nothing we sent")), "returned a message that is not unconfirmed");
}

TEST(publisher_with_a_hostile_broker, does_not_collect_answers_that_nobody_reads) {
  gives_up(sends_for_ever(wire::a_method(1, 20, 20, "\1")), "reads no answer");
}

TEST(publisher_with_a_hostile_broker, throws_a_returned_body_away_however_long_it_is) {
  const long before = peak_memory();
  scripted_broker broker(first_hostile([](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.send(a_return_method(1) + wire::a_content_header(1, 1ull << 62, 0, ""));
    sends_for_ever(wire::a_frame(3, 1, std::string(100'000, 'x')))(b);
  }));
  auto o = publisher_driver::options(broker.url());
  o.confirm_timeout = 500ms;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown timeout");
  works_again(p, broker);
  EXPECT_LT(peak_memory() - before, 64 * 1024);
}

TEST(publisher_with_a_hostile_broker, a_return_is_believed_without_its_ack) {
  std::atomic<const outbox::message*> row = nullptr;
  scripted_broker broker(first_hostile([&](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.send(a_return_of(*row.load()));
    b.cut();
  }));
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  row = &p.row("", "nowhere");
  p.publish(*row.load());
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row.load()->ref.id), "returned 312");
  works_again(p, broker);
}

// The order is the broker's promise. One that breaks it has confirmed the row for good: the return
// that follows is about nothing, and the connection is not trusted any more.
TEST(publisher_with_a_hostile_broker, a_return_after_its_ack_ends_the_connection) {
  std::atomic<const outbox::message*> row = nullptr;
  scripted_broker broker(first_hostile([&](broker_side& b) {
    b.handshake();
    b.take_publishes(2);
    b.send(an_ack(1, 1, false) + a_return_of(*row.load()));
  }));
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  row = &p.row("", "q");
  p.publish(*row.load());
  const auto other = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row.load()->ref.id), "confirmed");
  EXPECT_EQ(p.outcome_of(other), "unknown connection_lost 503");
  works_again(p, broker);
}

// ---- during the handshake ----

void fails_to_connect(const script& hostility, const char* why, const char* query = "") {
  const long before = peak_memory();
  scripted_broker broker(first_hostile(hostility));
  publisher_driver p(broker.url(query));
  ASSERT_TRUE(p.start_and_open()) << "the second time";
  EXPECT_THAT(p.log.last("amqp.connect_failed"), HasSubstr(why));
  EXPECT_EQ(p.times_opened(), 1);
  works_again(p, broker);
  EXPECT_LT(peak_memory() - before, 64 * 1024);
}

std::string a_tune(std::uint64_t channel_max, std::uint64_t frame_max) {
  return wire::a_method(
      0, 10, 30, wire::number(channel_max, 2) + wire::number(frame_max, 4) + wire::number(60, 2));
}

TEST(publisher_with_a_hostile_broker, refuses_limits_nobody_can_work_with) {
  for (const std::uint64_t frame_max : {1u, 7u, 8u, 4095u})
    fails_to_connect(
        [=](broker_side& b) {
          b.greet();
          b.send(a_tune(2047, frame_max));
        },
        "is too low: AMQP asks for 4096");
  fails_to_connect(
      [](broker_side& b) {
        b.greet();
        b.send(a_tune(1, 131'072));
      },
      "two channels are needed");
}

TEST(publisher_with_a_hostile_broker, refuses_tables_that_nest_for_ever_or_never_end) {
  std::string nested;
  for (int i = 0; i < 10'000; ++i) nested = field("", 'F', wire::long_string(nested));
  fails_to_connect(sends(start_with(nested)), "malformed table in AMQP_CONNECTION_START_METHOD");
  const std::string endless = field("a", 'S', wire::number(~0u, 4));
  fails_to_connect(sends(start_with(endless)), "malformed table");
  // Larger than a frame may be: refused before any of it is kept.
  fails_to_connect(sends_for_ever(start_with(std::string(1'000'000, 'x'))), "a frame of 10000");
}

TEST(publisher_with_a_hostile_broker, refuses_contents_before_the_handshake) {
  fails_to_connect(sends(wire::a_frame(3, 0, "x")), "out of place");
  fails_to_connect(sends(an_ack(1, 1, false)), "which is not open");
}

TEST(publisher_with_a_hostile_broker, may_be_sent_away_in_the_middle_of_anything) {
  const std::string close = relay::amqp::a_close(0, 10, "go away");
  fails_to_connect(sends(close), "go away");
  fails_to_connect(
      [&](broker_side& b) {
        b.greet();
        b.send(close);
      },
      "go away");
  fails_to_connect(
      [&](broker_side& b) {
        b.greet();
        b.tune(60);
        b.send(close);
      },
      "go away");
  scripted_broker broker(first_hostile([&](broker_side& b) {
    b.handshake();
    b.take_publishes(1);
    b.send(a_return_method(1) + close);  // instead of the content of the return
  }));
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown connection_lost 404");
  works_again(p, broker);
}

// ---- one byte at a time ----

void trickle(broker_side& b, const std::string& bytes, std::chrono::milliseconds pause) {
  for (const char c : bytes) {
    b.send(std::string(1, c));
    std::this_thread::sleep_for(pause);
  }
}

TEST(publisher_with_a_hostile_broker, a_trickle_does_not_prolong_the_handshake) {
  fails_to_connect([](broker_side& b) { trickle(b, relay::amqp::a_start(), 20ms); },
                   "timed out waiting for connection.start", "connection_timeout=200");
}

TEST(publisher_with_a_hostile_broker, a_trickle_is_no_sign_of_life) {
  scripted_broker broker(first_hostile([](broker_side& b) {
    b.handshake(1);
    b.take_publishes(1);
    trickle(b, an_ack(1, 1, false), 500ms);  // a frame takes ten seconds
  }));
  publisher_driver p(broker.url("heartbeat=1"));
  ASSERT_TRUE(p.start_and_open());
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown connection_lost");
  EXPECT_THAT(p.log.last("amqp.disconnected"), HasSubstr("nothing received for two heartbeat"));
}

}  // namespace
}  // namespace outboxd::tests
