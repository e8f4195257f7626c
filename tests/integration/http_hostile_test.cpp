// The HTTP port of the program under clients that mean it harm: while each of them does its worst,
// somebody else is answered, and the memory stays where it was.
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/eventually.hpp"
#include "tests/support/sidecar.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using boost::system::error_code;
using tcp = boost::asio::ip::tcp;

class client {
 public:
  explicit client(int port) : socket_(io_) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)});
  }

  // False: the server has hung up. Only as long as it takes what it is given: nothing waits.
  bool send(std::string_view text) {
    socket_.non_blocking(true);
    error_code e;
    while (!text.empty() && !e)
      text.remove_prefix(socket_.write_some(boost::asio::buffer(text), e));
    return !e || e == boost::asio::error::would_block;
  }
  void half_close() {
    error_code gone;
    socket_.shutdown(tcp::socket::shutdown_send, gone);
  }
  // What is there to read is taken.
  bool hung_up() {
    socket_.non_blocking(true);
    char sink[4096];
    error_code e;
    while (!e) socket_.read_some(boost::asio::buffer(sink), e);
    return e != boost::asio::error::would_block;
  }

 private:
  boost::asio::io_context io_;
  tcp::socket socket_;
};

struct attack {
  std::string name;
  std::size_t clients;
  // Again and again, in turns of about a hundredth of a second.
  std::function<void(client&, int turn)> turn;

  friend void PrintTo(const attack& a, std::ostream* out) { *out << a.name; }
};

const std::string half_a_request = "GET /metrics HTTP/1.1\r\nHost: ";

void send_first(client& c, int turn, std::string_view text) {
  if (turn == 0) c.send(text);
}

const std::vector<attack> attacks{
    {"a header byte by byte", 100, [](client& c, int) { c.send("G"); }},
    {"a header line without end", 100,
     [](client& c, int turn) {
       send_first(c, turn, half_a_request);
       c.send(std::string(1000, 'x'));
     }},
    {"header lines without end", 100,
     [](client& c, int turn) {
       send_first(c, turn, half_a_request + "x\r\n");
       c.send("X-One: more\r\n");
     }},
    {"a body of a terabyte", 100,
     [](client& c, int turn) {
       send_first(c, turn,
                  "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n");
       c.send(std::string(1u << 20, 'b'));
     }},
    {"chunks without end", 100,
     [](client& c, int turn) {
       send_first(c, turn, "POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
       c.send("ffff\r\n" + std::string(0xffff, 'c') + "\r\n");
     }},
    {"many who say nothing", 600, [](client&, int) {}},
    {"half a request, and no more to come", 100,
     [](client& c, int turn) {
       send_first(c, turn, half_a_request);
       if (turn == 0) c.half_close();
     }},
    {"many questions, and no answer is read", 100,
     [](client& c, int) { c.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); }},
};

// Nobody is there for it; HTTP is.
std::unique_ptr<sidecar> alone() {
  auto outboxd = std::make_unique<sidecar>("postgresql://127.0.0.1:1/none", "amqp://127.0.0.1:1");
  if (!eventually(30s, [&] { return outboxd->get("/livez") == "ok\n"; }))
    throw std::runtime_error("it does not start: " + outboxd->log());
  return outboxd;
}

class http_under : public testing::TestWithParam<attack> {};

TEST_P(http_under, hostile_clients_others_are_served_and_memory_stays) {
  const auto outboxd = alone();
  for (int i = 0; i < 20; ++i) outboxd->get("/metrics");
  const std::size_t before = outboxd->resident_bytes();
  const int port = outboxd->port();

  std::atomic<bool> over = false;
  std::atomic<int> turns = 0;
  std::list<client> hostile;
  for (std::size_t i = 0; i < GetParam().clients; ++i) hostile.emplace_back(port);
  std::thread attacker([&] {
    for (int turn = 0; !over; ++turn) {
      for (auto& c : hostile) GetParam().turn(c, turn);
      turns = turn + 1;
      std::this_thread::sleep_for(10ms);
    }
  });
  int asked = 0, answered = 0;
  for (; asked < 100 || turns < 20; ++asked) {
    if (outboxd->get("/livez") == "ok\n") ++answered;
  }
  EXPECT_EQ(answered, asked) << "somebody else was not answered";
  EXPECT_LT(outboxd->resident_bytes(), before + (std::size_t{32} << 20));
  over = true;
  attacker.join();
  EXPECT_TRUE(eventually(60s, [&] {
    return std::ranges::all_of(hostile, [](client& c) { return c.hung_up(); });
  })) << "they are never sent away";
  EXPECT_EQ(outboxd->get("/livez"), "ok\n");
  EXPECT_TRUE(outboxd->running()) << outboxd->log();
}

INSTANTIATE_TEST_SUITE_P(each, http_under, testing::ValuesIn(attacks),
                         [](const testing::TestParamInfo<attack>& p) {
                           std::string name = p.param.name;
                           std::erase(name, ',');
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

}  // namespace
}  // namespace outboxd::tests
