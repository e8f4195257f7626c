#include "tests/support/tcp_gate.hpp"
#include "tests/support/loopback.hpp"

#include "tests/support/eventually.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

unique_fd connect_to(int port) {
  unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fd.reset();
  return fd;
}

// A server that accepts one connection when asked to.
struct server {
  unique_fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

  server() {
    const sockaddr_in any = loopback(0);
    const bool ready =
        ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0 &&
        ::listen(listener.get(), 8) == 0;
    EXPECT_TRUE(ready);
  }

  int port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }

  unique_fd accept() const { return unique_fd(::accept(listener.get(), nullptr, nullptr)); }
};

void say(const unique_fd& fd, const std::string& text) {
  ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), std::ssize(text));
}

// The next bytes; "" at a FIN, "error N" at an error.
std::string hear(const unique_fd& fd) {
  std::array<char, 100> bytes;
  const ssize_t n = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
  if (n < 0) return "error " + std::to_string(errno);
  return {bytes.data(), static_cast<std::size_t>(n)};
}

bool silent(const unique_fd& fd) {
  char byte = 0;
  return ::recv(fd.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

const std::string reset_by_peer = "error " + std::to_string(ECONNRESET);

struct tcp_gate_test : testing::Test {
  server behind;
  tcp_gate gate{behind.port()};
  unique_fd client = connect_to(gate.port());
  unique_fd accepted = behind.accept();
};

TEST_F(tcp_gate_test, passes_bytes_both_ways_and_the_end_too) {
  say(client, "hello");
  EXPECT_EQ(hear(accepted), "hello");
  say(accepted, "welcome");
  EXPECT_EQ(hear(client), "welcome");
  EXPECT_EQ(gate.forwarded(direction::to_server), 5u);
  EXPECT_EQ(gate.forwarded(direction::to_client), 7u);
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(hear(accepted), "");
  say(accepted, "last words");
  EXPECT_EQ(hear(client), "last words");
  accepted.reset();
  EXPECT_EQ(hear(client), "");
  EXPECT_TRUE(eventually(30s, [&] { return gate.connections() == 0; }));
}

TEST_F(tcp_gate_test, a_stalled_direction_keeps_its_bytes_and_the_other_flows) {
  gate.stall(direction::to_server);
  say(client, "later");
  say(accepted, "now");
  EXPECT_EQ(hear(client), "now");
  EXPECT_TRUE(silent(accepted));
  gate.pass();
  EXPECT_EQ(hear(accepted), "later");

  gate.stall(direction::to_client);
  say(accepted, "much later");
  say(client, "at once");
  EXPECT_EQ(hear(accepted), "at once");
  EXPECT_TRUE(silent(client));
  gate.pass();
  EXPECT_EQ(hear(client), "much later");
}

// No upper limit is looked at: a machine may be slow, the gate may not be fast.
TEST_F(tcp_gate_test, a_delay_lets_every_byte_arrive_later_and_in_order) {
  gate.delay(direction::to_server, 200ms);
  const auto start = std::chrono::steady_clock::now();
  say(client, "first ");
  say(accepted, "at once");
  EXPECT_EQ(hear(client), "at once");
  say(client, "second");
  ::shutdown(client.get(), SHUT_WR);
  std::string heard;
  for (std::string next = hear(accepted); !next.empty(); next = hear(accepted)) heard += next;
  EXPECT_EQ(heard, "first second");
  EXPECT_GE(std::chrono::steady_clock::now() - start, 200ms);
}

TEST_F(tcp_gate_test, what_was_delayed_arrives_when_everything_flows_again) {
  gate.delay(direction::both, 1h);
  say(client, "waits");
  EXPECT_TRUE(silent(accepted));
  gate.pass();
  EXPECT_EQ(hear(accepted), "waits");
}

TEST_F(tcp_gate_test, a_trickle_takes_its_time_and_loses_nothing) {
  gate.trickle(direction::to_client, 500);
  const auto start = std::chrono::steady_clock::now();
  say(accepted, std::string(100, 'x'));
  std::string heard;
  while (heard.size() < 100) heard += hear(client);
  EXPECT_EQ(heard, std::string(100, 'x'));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 150ms) << "100 bytes at 500 a second";
  gate.pass();
  say(accepted, std::string(60, 'y'));
  EXPECT_EQ(hear(client), std::string(60, 'y'));
}

TEST_F(tcp_gate_test, refuses_new_connections_and_keeps_the_open_one) {
  gate.refuse();
  EXPECT_FALSE(connect_to(gate.port()));
  EXPECT_EQ(errno, ECONNREFUSED);
  say(client, "still here");
  EXPECT_EQ(hear(accepted), "still here");
  gate.refuse();
  gate.pass();
  EXPECT_TRUE(connect_to(gate.port()));
}

TEST_F(tcp_gate_test, a_cut_is_an_orderly_end_on_both_sides_even_with_bytes_under_way) {
  gate.stall(direction::both);
  say(client, "lost");
  gate.cut();
  EXPECT_EQ(hear(client), "");
  EXPECT_EQ(hear(accepted), "");
  EXPECT_EQ(gate.connections(), 0u);
}

TEST_F(tcp_gate_test, a_reset_is_a_reset_on_both_sides) {
  gate.reset();
  EXPECT_EQ(hear(client), reset_by_peer);
  EXPECT_EQ(hear(accepted), reset_by_peer);
  EXPECT_EQ(gate.connections(), 0u);
}

TEST_F(tcp_gate_test, a_reset_of_one_side_reaches_the_other) {
  const linger at_once{1, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  client.reset();
  EXPECT_EQ(hear(accepted), reset_by_peer);
}

TEST(tcp_gate, a_server_that_is_away_looks_like_a_reset) {
  tcp_gate gate([] { return server().port(); }());
  EXPECT_EQ(hear(connect_to(gate.port())), reset_by_peer);
}

}  // namespace
}  // namespace outboxd::tests
