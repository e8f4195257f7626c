// The publisher and a network that swallows what it is given: peers that vanish without a word at
// any time. Each is found out within its limit and said in the log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <netdb.h>
#include <sys/resource.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scripted_broker.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

// Beats as long as it lives, confirms nothing, and hangs up after three seconds of silence, as
// RabbitMQ does with a heartbeat of one second.
class living_broker {
 public:
  int port() const { return broker_.port(); }

 private:
  static void serve(broker_side& b) {
    b.handshake(1);
    std::atomic<bool> over = false;
    std::thread heart([&] {
      while (!over) {
        try {
          b.heartbeat();
        } catch (const unexpected&) {
          return;
        }
        std::this_thread::sleep_for(300ms);
      }
    });
    b.take_until_quiet(3s);
    b.reset();
    over = true;
    heart.join();
  }

  scripted_broker broker_{serve};
};

std::string url(int port, const std::string& query) {
  return "amqp://guest:guest@localhost:" + std::to_string(port) + "/%2f?" + query;
}

class half_open : public testing::TestWithParam<direction> {};

TEST_P(half_open, connections_are_found_out_and_replaced) {
  living_broker broker;
  tcp_gate gate(broker.port());
  publisher_driver p(url(gate.port(), "heartbeat=1&connection_timeout=1000"));
  ASSERT_TRUE(p.start_and_open());
  gate.stall(GetParam());
  p.publish("", "q");
  ASSERT_TRUE(p.settle()) << "not found out";
  EXPECT_EQ(p.count()["unknown connection_lost"], 1);
  gate.pass();
  EXPECT_TRUE(p.run_until([&] { return p.is_open(0); })) << p.log.text();
}

TEST_P(half_open, idle_connections_are_found_out_too) {
  living_broker broker;
  tcp_gate gate(broker.port());
  publisher_driver p(url(gate.port(), "heartbeat=1"));
  ASSERT_TRUE(p.start_and_open());
  gate.stall(GetParam());
  EXPECT_TRUE(p.run_until([&] { return !p.is_open(0); }));
}

INSTANTIATE_TEST_SUITE_P(each_direction, half_open,
                         testing::Values(direction::to_server, direction::to_client,
                                         direction::both));

// By the publisher, with a reset; not by its kernel, which would only stop talking, so that the
// peer could still read and publish what it has got.
TEST(a_peer_that_takes_no_data, is_given_up_by_reset) {
  std::atomic<bool> was_reset = false;
  scripted_broker broker([&](broker_side& b) {
    b.handshake(2);
    if (b.number() > 0) return (void)b.wait_for_the_end();
    for (int i = 0; i < 40; ++i) {  // until shortly before the publisher's patience is over
      b.heartbeat();
      std::this_thread::sleep_for(100ms);
    }
    was_reset = b.wait_until_hung_up(20s) == how_it_ended::reset;
  });
  publisher_driver p(broker.url("heartbeat=2"));
  ASSERT_TRUE(p.start_and_open());
  const std::string body(1'000'000, 'x');
  for (int i = 0; i < 30; ++i) p.publish("", "q", body);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.count()["unknown connection_lost"], 30);
  EXPECT_THAT(p.last_close(), HasSubstr("the server has taken no data for too long"));
  EXPECT_TRUE(eventually(20s, [&] { return was_reset.load(); }));
}

// ---- while connecting

// Name servers that do not answer: getaddrinfo() of this name returns only when this is destroyed.
// The linker replaces the function in this program.
class hanging_name {
 public:
  hanging_name() { hanging = true; }
  ~hanging_name() {
    hanging = false;
    hanging.notify_all();
    EXPECT_TRUE(eventually(20s, [] { return callers == 0; }));
  }
  static int ask() {
    ++callers;
    hanging.wait(true);
    --callers;
    return EAI_AGAIN;
  }
  static int asking() { return callers; }

  static constexpr std::string_view name = "hangs.test";

 private:
  static inline std::atomic<bool> hanging = false;
  static inline std::atomic<int> callers = 0;
};

// A port where the kernel answers no SYN: its queue of connections nobody accepts is full.
class black_hole {
 public:
  black_hole() {
    acceptor_.listen(0);
    for (int i = 0; i < 8; ++i) {
      auto& caller = callers_.emplace_back(io_, boost::asio::ip::tcp::v4());
      caller.native_non_blocking(true);
      const auto here = acceptor_.local_endpoint();
      (void)::connect(caller.native_handle(), here.data(), static_cast<socklen_t>(here.size()));
    }
  }
  int port() const { return acceptor_.local_endpoint().port(); }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_{
      io_, {boost::asio::ip::address_v4::loopback(), 0}, false};
  std::vector<boost::asio::ip::tcp::socket> callers_;
};

std::string first_failure(publisher_driver& p) {
  p.start();
  EXPECT_TRUE(p.run_until([&] { return !p.log.lines("amqp.connect_failed").empty(); }));
  return p.log.last("amqp.connect_failed");
}

std::string address(int port, const std::string& query) {
  return "amqp://guest:guest@127.0.0.1:" + std::to_string(port) + "/%2f?" + query;
}

TEST(while_connecting, a_name_look_up_that_hangs_is_given_up_for_the_next_node) {
  const hanging_name hangs;
  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.wait_for_the_end();
  });
  auto o = publisher_driver::options("amqp://" + std::string(hangs.name) +
                                     "/?connection_timeout=300," + broker.url());
  o.reconnect_min = o.reconnect_max = 1h;
  o.random = [] { return 0.99; };  // in that order
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  EXPECT_EQ(hangs.asking(), 1);
  EXPECT_THAT(p.log.last("amqp.connect_failed"),
              HasSubstr("timed out waiting for the name look-up"));
}

TEST(while_connecting, a_name_look_up_that_hangs_delays_no_stop_and_is_heard_by_nobody_later) {
  std::optional<hanging_name> hangs(std::in_place);
  {
    publisher_driver p("amqp://" + std::string(hanging_name::name) +
                       "/?connection_timeout=3600000");
    p.start();
    ASSERT_TRUE(p.run_until([&] { return hanging_name::asking() == 1; }));
    EXPECT_TRUE(p.stop(1h));
  }
  EXPECT_EQ(hanging_name::asking(), 1);
  hangs.reset();
}

TEST(while_connecting, an_address_that_swallows_everything_is_given_up) {
  const black_hole nowhere;
  publisher_driver p(address(nowhere.port(), "connection_timeout=1000"));
  EXPECT_THAT(first_failure(p), HasSubstr("timed out waiting for the TCP connection"));
}

TEST(while_connecting, a_stalled_tls_handshake_is_given_up) {
  scripted_broker broker([](broker_side& b) { b.wait_for_the_end(); });
  publisher_driver p("amqps" + address(broker.port(), "connection_timeout=1000").substr(4));
  EXPECT_THAT(first_failure(p), HasSubstr("timed out waiting for the TLS handshake"));
}

TEST(while_connecting, a_stalled_login_is_given_up) {
  scripted_broker broker([](broker_side& b) {
    b.greet();
    b.wait_for_the_end();
  });
  publisher_driver p(address(broker.port(), "connection_timeout=1000"));
  EXPECT_THAT(first_failure(p), HasSubstr("timed out waiting for the answer to the login"));
}

TEST(while_connecting, a_stalled_answer_to_open_and_a_stalled_channel_are_given_up) {
  scripted_broker broker([](broker_side& b) {
    b.greet();
    b.tune(60);
    b.wait_for_the_end();
  });
  publisher_driver p(address(broker.port(), "connection_timeout=1000"));
  EXPECT_THAT(first_failure(p), HasSubstr("timed out waiting for the answer to connection.open"));

  scripted_broker later([](broker_side& b) {
    b.greet();
    b.tune(60);
    b.send(std::string("\x01\x00\x00\x00\x00\x00\x05\x00\x0a\x00\x29\x00\xCE", 13));  // open-ok
    b.wait_for_the_end();
  });
  publisher_driver q(address(later.port(), "connection_timeout=1000"));
  EXPECT_THAT(first_failure(q), HasSubstr("timed out waiting for the channels to open"));
}

TEST(while_connecting, insane_limits_are_refused_in_words) {
  scripted_broker broker([](broker_side& b) {
    b.greet();
    if (b.number() == 0) {
      b.ask_to_tune(2047, 1, 60);
    } else {
      b.ask_to_tune(1, 131'072, 60);
    }
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  EXPECT_THAT(first_failure(p), HasSubstr("frame_max 1 is too low"));
  publisher_driver q(broker.url());
  EXPECT_THAT(first_failure(q), HasSubstr("channel_max 1 is too low"));
}

TEST(while_connecting, limits_of_zero_mean_none) {
  scripted_broker broker([](broker_side& b) {
    b.greet();
    b.ask_to_tune(0, 0, 0);
    b.read_until(method::connection_open);
    b.open();
    b.take_publishes(1);
    b.ack(1);
    b.wait_for_the_end();
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  const auto row = p.publish("", "q", std::string(500'000, 'x'));
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
}

TEST(while_connecting, a_lack_of_descriptors_is_named_and_survived) {
  std::string url = "amqp://127.0.0.1:1/";
  auto o = publisher_driver::options(url);
  o.nodes = [&] { return relay::amqp::parse_uris(url); };
  publisher_driver p(o);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  rlimit none = usual;
  none.rlim_cur = 3;  // what is open stays open
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string failure = first_failure(p);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_THAT(failure, HasSubstr("cannot connect: Too many open files"));

  scripted_broker broker([](broker_side& b) {
    b.handshake();
    b.wait_for_the_end();
  });
  url = broker.url();
  EXPECT_TRUE(p.run_until([&] { return p.is_open(0); })) << p.log.text();
}

// The limits are an hour: each stop is over long before, or the test is not.
TEST(while_connecting, it_can_be_stopped_at_once_in_every_phase) {
  const black_hole nowhere;
  scripted_broker mute([](broker_side& b) { b.wait_for_the_end(); });
  const std::string for_ever = "connection_timeout=3600000";
  for (const std::string& target :
       {address(nowhere.port(), for_ever), address(mute.port(), for_ever),
        "amqps" + address(mute.port(), for_ever).substr(4), std::string("amqp://127.0.0.1:1/")}) {
    auto o = publisher_driver::options(target);
    o.reconnect_min = o.reconnect_max = 1h;
    publisher_driver p(o);
    p.start();
    EXPECT_FALSE(p.run_until([&] { return p.open_lanes() > 0; }, 100ms));
    EXPECT_TRUE(p.stop(1h)) << target;
  }
}

}  // namespace
}  // namespace outboxd::tests

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the names are the
// linker's (--wrap).
extern "C" {
int __real_getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** found);
int __wrap_getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** found);

int __wrap_getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                       addrinfo** found) {
  using outboxd::tests::hanging_name;
  if (node != nullptr && node == hanging_name::name) return hanging_name::ask();
  return __real_getaddrinfo(node, service, hints, found);
}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
