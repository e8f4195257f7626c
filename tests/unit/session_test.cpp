#include "relay/amqp/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/unit/conversation.hpp"

namespace outboxd::relay::amqp {
namespace {

TEST(session, opens_a_confirm_channel_and_a_control_channel) {
  conversation c;
  EXPECT_EQ(c.connected(), "send header");
  EXPECT_EQ(c.received(rabbit_start()), "send start-ok PLAIN");
  EXPECT_EQ(c.received(connection_tune{2047, 131'072, 60}),
            "send tune-ok 2047 131072 15, send open cards");
  EXPECT_EQ(c.received(connection_open_ok{}), "send open 1, send select 1, send open 2");
  EXPECT_EQ(c.received(channel_open_ok{1}), "");
  EXPECT_EQ(c.received(channel_open_ok{2}), "control channel opened");
  EXPECT_FALSE(c.it().can_publish());
  EXPECT_EQ(c.received(confirm_select_ok{1}), "confirm channel opened");
  EXPECT_TRUE(c.it().can_publish());
  EXPECT_EQ(c.it().server().version, "3.10.8");
}

TEST(session, logs_in_with_the_mechanism_that_was_asked_for) {
  endpoint node = rabbit_node();
  node.mechanism = auth::amqplain;
  conversation c(node);
  c.connected();
  EXPECT_EQ(c.received(rabbit_start()), "send start-ok AMQPLAIN");
}

TEST(session, names_what_the_server_offers_when_it_is_not_our_mechanism) {
  endpoint node = rabbit_node();
  node.mechanism = auth::external;
  conversation c(node);
  c.connected();
  EXPECT_EQ(c.received(rabbit_start()),
            "reset: 0 the server does not offer the login mechanism EXTERNAL, it offers PLAIN "
            "AMQPLAIN");
}

TEST(session, refuses_a_server_without_publisher_confirms) {
  conversation c;
  c.connected();
  connection_start start = rabbit_start();
  start.supports_confirms = false;
  EXPECT_EQ(c.received(start), "reset: 0 the server does not support publisher confirms");
}

TEST(session, refuses_a_second_question_at_login) {
  conversation c;
  c.log_in();
  EXPECT_EQ(c.received(connection_secure{}),
            "reset: 0 the server asks for more than PLAIN can say");
}

struct tuning {
  connection_tune server;
  std::uint16_t channel_max;
  std::uint32_t frame_max;
  int heartbeat;
  std::string answer;
};

class session_tune : public testing::TestWithParam<tuning> {};

TEST_P(session_tune, takes_the_lower_limit_where_zero_is_none) {
  const tuning& t = GetParam();
  endpoint node = rabbit_node();
  node.channel_max = t.channel_max;
  node.frame_max = t.frame_max;
  node.heartbeat = std::chrono::seconds(t.heartbeat);
  conversation c(node);
  c.log_in();
  EXPECT_THAT(c.received(t.server), testing::StartsWith(t.answer));
}

INSTANTIATE_TEST_SUITE_P(
    limits, session_tune,
    testing::Values(tuning{{2047, 131'072, 60}, 2047, 131'072, 15, "send tune-ok 2047 131072 15"},
                    tuning{{10, 8192, 5}, 2047, 131'072, 15, "send tune-ok 10 8192 5"},
                    tuning{{2047, 131'072, 60}, 5, 4096, 15, "send tune-ok 5 4096 15"},
                    tuning{{0, 0, 0}, 2047, 131'072, 15, "send tune-ok 2047 131072 15"},
                    tuning{{2047, 131'072, 60}, 0, 0, 0, "send tune-ok 2047 131072 60"},
                    tuning{{0, 0, 0}, 0, 0, 0, "send tune-ok 0 131072 0"},
                    tuning{
                        {2047, 131'072, 60}, 2047, 131'072, 100'000, "send tune-ok 2047 131072 60"},
                    tuning{{2047, 4095, 60},
                           2047,
                           131'072,
                           15,
                           "reset: 0 frame_max 4095 is too low: AMQP asks for 4096"},
                    tuning{{2047, 1, 60}, 2047, 0, 15, "reset: 0 frame_max 1 is too low"},
                    tuning{{1, 131'072, 60},
                           2047,
                           131'072,
                           15,
                           "reset: 0 channel_max 1 is too low: two channels are needed"}));

TEST(session, tells_the_servers_words_when_the_login_is_refused) {
  conversation c;
  c.log_in();
  EXPECT_EQ(c.received(connection_close{403, "ACCESS_REFUSED - Login was refused"}),
            "send close-ok, close: 403 ACCESS_REFUSED - Login was refused");
}

TEST(session, suspects_the_login_when_the_server_hangs_up_after_it) {
  conversation c;
  c.log_in();
  EXPECT_EQ(c.disconnected(),
            "reset: 0 connection reset by peer (after the login was sent: are user and password "
            "right?)");
}

TEST(session, suspects_the_port_when_the_server_never_said_anything) {
  conversation c;
  c.connected();
  EXPECT_EQ(c.disconnected(),
            "reset: 0 connection reset by peer (before it said anything: is this an AMQP port, and "
            "without TLS?)");
  endpoint node = rabbit_node();
  node.tls = true;
  conversation over_tls(node);
  over_tls.connected();
  EXPECT_EQ(over_tls.disconnected(),
            "reset: 0 connection reset by peer (before it said anything: does it want a client "
            "certificate?)");
}

TEST(session, says_what_it_waited_for_when_the_handshake_takes_too_long) {
  conversation c;
  c.log_in();
  EXPECT_EQ(c.timed_out(), "reset: 0 timed out waiting for the answer to the login");
}

TEST(session, passes_confirms_and_returns_on) {
  conversation c;
  c.open();
  EXPECT_EQ(c.received(basic_ack{1, 7, true}), "ack 7 and lower");
  EXPECT_EQ(c.received(basic_nack{1, 8, false}), "nack 8");
  EXPECT_EQ(c.received(basic_return{1, 312, "NO_ROUTE", "", "nowhere", "m1"}), "return m1");
  EXPECT_EQ(c.received(exchange_declare_ok{2}), "declared");
}

TEST(session, takes_a_confirm_on_the_control_channel_for_a_protocol_error) {
  conversation c;
  c.open();
  EXPECT_EQ(c.received(basic_ack{2, 1, false}), "reset: 503 protocol error: unexpected basic.ack");
  EXPECT_EQ(c.received(basic_ack{1, 1, false}), "") << "nothing follows the end";
}

TEST(session, takes_a_method_out_of_order_for_a_protocol_error) {
  conversation c;
  c.connected();
  EXPECT_EQ(c.received(connection_tune{0, 0, 0}),
            "reset: 503 protocol error: unexpected connection.tune");
}

TEST(session, opens_the_confirm_channel_again_when_it_is_told_to) {
  conversation c;
  c.open();
  EXPECT_EQ(c.received(channel_close{1, 404, "NOT_FOUND - no exchange 'x'"}),
            "send close-ok 1, confirm channel lost 404 NOT_FOUND - no exchange 'x'");
  EXPECT_FALSE(c.it().can_publish());
  EXPECT_EQ(c.reopen(), "send open 1, send select 1");
  EXPECT_EQ(c.reopen(), "") << "only once";
  EXPECT_EQ(c.received(channel_open_ok{1}), "");
  EXPECT_EQ(c.received(confirm_select_ok{1}), "confirm channel opened");
  EXPECT_TRUE(c.it().can_publish());
}

TEST(session, renews_the_confirm_channel) {
  conversation c;
  c.open();
  EXPECT_EQ(c.renew(), "send close 1");
  EXPECT_FALSE(c.it().can_publish());
  EXPECT_EQ(c.renew(), "") << "only once";
  EXPECT_EQ(c.received(exchange_declare_ok{2}), "declared") << "the other goes on";
  EXPECT_EQ(c.received(channel_close_ok{1}), "send open 1, send select 1");
  c.received(channel_open_ok{1});
  EXPECT_EQ(c.received(confirm_select_ok{1}), "confirm channel opened");
  EXPECT_TRUE(c.it().can_publish());
}

TEST(session, renews_the_confirm_channel_while_the_server_closes_it) {
  conversation c;
  c.open();
  c.renew();
  EXPECT_EQ(c.received(channel_close{1, 404, "NOT_FOUND"}), "send close-ok 1");
  EXPECT_EQ(c.received(channel_close_ok{1}), "send open 1, send select 1");
}

TEST(session, renews_nothing_that_is_not_open_or_not_read) {
  conversation c;
  c.connected();
  EXPECT_EQ(c.renew(), "");
  conversation blocked;
  blocked.open();
  blocked.received(connection_blocked{"low on memory"});
  EXPECT_EQ(blocked.renew(), "");
}

TEST(session, takes_a_confirm_of_a_channel_that_it_is_closing_for_a_protocol_error) {
  conversation c;
  c.open();
  c.renew();
  EXPECT_EQ(c.received(basic_ack{1, 1, false}), "reset: 503 protocol error: unexpected basic.ack");
}

TEST(session, takes_a_close_ok_it_did_not_ask_for_for_a_protocol_error) {
  conversation c;
  c.open();
  EXPECT_EQ(c.received(channel_close_ok{1}),
            "reset: 503 protocol error: unexpected channel.close-ok");
}

TEST(session, opens_the_control_channel_again_at_once) {
  conversation c;
  c.open();
  EXPECT_EQ(c.received(channel_close{2, 404, "NOT_FOUND"}),
            "send close-ok 2, control channel lost 404 NOT_FOUND, send open 2");
  EXPECT_TRUE(c.it().can_publish());
  EXPECT_EQ(c.received(channel_open_ok{2}), "control channel opened");
}

TEST(session, writes_nothing_while_the_broker_is_blocked) {
  conversation c;
  c.open();
  EXPECT_EQ(c.received(connection_blocked{"low on memory"}), "blocked low on memory");
  EXPECT_TRUE(c.it().withholding());
  EXPECT_EQ(c.received(connection_blocked{"low on disk"}), "") << "still blocked";
  EXPECT_EQ(c.tick(), "") << "no heartbeat: the server does not read and does not watch";
  EXPECT_EQ(c.received(connection_unblocked{}), "unblocked");
  EXPECT_FALSE(c.it().withholding());
}

TEST(session, goes_on_publishing_only_when_neither_alarm_nor_flow_stops_it) {
  conversation c;
  c.open();
  EXPECT_EQ(c.received(channel_flow{1, false}), "send flow-ok 1 off, blocked channel.flow");
  EXPECT_FALSE(c.it().withholding()) << "the server reads, it only wants no messages";
  EXPECT_EQ(c.received(connection_blocked{"low on memory"}), "");
  EXPECT_EQ(c.received(channel_flow{1, true}), "send flow-ok 1 on");
  EXPECT_EQ(c.received(connection_unblocked{}), "unblocked");
}

TEST(session, forgets_channel_flow_with_its_channel) {
  conversation c;
  c.open();
  c.received(channel_flow{1, false});
  EXPECT_EQ(c.received(channel_close{1, 406, "PRECONDITION_FAILED"}),
            "send close-ok 1, confirm channel lost 406 PRECONDITION_FAILED, unblocked");
}

TEST(session, sends_a_heartbeat_when_nothing_else_was_sent) {
  conversation c;
  c.open();
  EXPECT_EQ(c.tick(), "send heartbeat");
  c.it().wrote();
  EXPECT_EQ(c.tick(), "") << "something was sent since the last tick";
  EXPECT_EQ(c.tick(), "send heartbeat");
}

TEST(session, takes_two_silent_intervals_for_a_dead_server) {
  conversation c;
  c.open();
  for (int half_interval = 0; half_interval < 4; ++half_interval) {
    EXPECT_EQ(c.tick(), "send heartbeat");
  }
  EXPECT_THAT(c.tick(),
              testing::HasSubstr("reset: 0 nothing received for two heartbeat intervals"));
}

TEST(session, lives_as_long_as_the_server_says_anything) {
  conversation c;
  c.open();
  for (int half_interval = 0; half_interval < 20; ++half_interval) {
    EXPECT_EQ(c.tick(), "send heartbeat");
    if (half_interval % 4 == 0) c.received(heartbeat{});
  }
  EXPECT_FALSE(c.it().over());
}

TEST(session, watches_a_silent_server_also_while_blocked) {
  conversation c;
  c.open();
  c.received(connection_blocked{"low on memory"});
  for (int half_interval = 0; half_interval < 4; ++half_interval) EXPECT_EQ(c.tick(true), "");
  EXPECT_EQ(c.tick(true), "reset: 0 nothing received for two heartbeat intervals");
}

TEST(session, gives_up_a_server_that_takes_no_data) {
  conversation c;
  c.open();
  for (int half_interval = 0; half_interval < 4; ++half_interval) {
    c.received(heartbeat{});
    EXPECT_EQ(c.tick(true), "");
  }
  c.received(heartbeat{});
  EXPECT_EQ(c.tick(true), "reset: 0 the server has taken no data for too long");
}

TEST(session, waits_for_ever_for_a_blocked_server_to_take_data) {
  conversation c;
  c.open();
  c.received(connection_blocked{"low on memory"});
  for (int half_interval = 0; half_interval < 100; ++half_interval) {
    c.received(heartbeat{});
    EXPECT_EQ(c.tick(true), "");
  }
}

TEST(session, gives_up_a_server_that_asks_for_ever_and_reads_no_answer) {
  for (const bool blocked : {false, true}) {
    conversation c;
    c.open();
    if (blocked) c.received(connection_blocked{"low on memory"});
    for (int i = 0; i < 256; ++i)
      EXPECT_EQ(c.received(channel_flow{control_channel, true}), "send flow-ok 2 on");
    EXPECT_EQ(c.received(channel_flow{control_channel, true}),
              "reset: 506 protocol error: it asks again and again and reads no answer");
  }
}

TEST(session, answers_for_ever_while_the_server_reads_its_answers) {
  conversation c;
  c.open();
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(c.received(channel_close{control_channel, 404, "NOT_FOUND"}),
              "send close-ok 2, control channel lost 404 NOT_FOUND, send open 2");
    c.it().wrote();
    c.received(channel_open_ok{control_channel});
  }
}

TEST(session, neither_sends_nor_expects_heartbeats_when_they_are_off) {
  endpoint node = rabbit_node();
  node.heartbeat = std::chrono::seconds(0);
  conversation c(node);
  c.log_in();
  c.received(connection_tune{2047, 131'072, 0});
  c.received(connection_open_ok{});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(c.tick(), "");
}

TEST(session, closes_gracefully_and_still_passes_confirms_on) {
  conversation c;
  c.open();
  EXPECT_EQ(c.close(), "send close 200");
  EXPECT_EQ(c.close(), "") << "once";
  EXPECT_EQ(c.received(basic_ack{1, 1, false}), "ack 1");
  EXPECT_EQ(c.received(channel_close{1, 404, "NOT_FOUND"}), "");
  EXPECT_EQ(c.received(connection_close_ok{}), "close: 200 stopped");
}

TEST(session, does_not_wait_for_ever_for_close_ok) {
  conversation c;
  c.open();
  c.close();
  EXPECT_EQ(c.timed_out(), "reset: 0 timed out waiting for connection.close-ok");
}

TEST(session, resets_when_it_is_stopped_while_blocked) {
  conversation c;
  c.open();
  c.received(connection_blocked{"low on memory"});
  EXPECT_EQ(c.close(), "reset: 0 stopped while the server was blocked");
}

TEST(session, resets_when_it_is_stopped_during_the_handshake) {
  conversation c;
  c.log_in();
  EXPECT_EQ(c.close(), "reset: 0 stopped");
}

TEST(session, answers_a_close_that_crosses_ours) {
  conversation c;
  c.open();
  c.close();
  EXPECT_EQ(c.received(connection_close{320, "CONNECTION_FORCED"}),
            "send close-ok, close: 320 CONNECTION_FORCED");
}

}  // namespace
}  // namespace outboxd::relay::amqp
