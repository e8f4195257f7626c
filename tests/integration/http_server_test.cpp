#include "service/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include <future>
#include <list>
#include <thread>

#include "service/http_handlers.hpp"
#include "tests/support/eventually.hpp"

namespace outboxd::service {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class silent_logger final : public base::logger {
 public:
  void write(base::severity, std::string_view, std::span<const base::field>) override {}
};

// A server on a port of its own, in a thread of its own.
class running_server {
 public:
  explicit running_server(http_limits limits = {}, std::size_t metrics_size = 16)
      : running_server(limits, read_only({[] { return process_view{}; },
                                          [metrics_size](const relay::status&) {
                                            return std::string(metrics_size, 'm');
                                          }})) {}
  running_server(http_limits limits, http_handler handler)
      : server_(io_.get_executor(), std::move(handler), limits, log_) {
    const auto listening = server_.start({"127.0.0.1", 0});
    if (!listening) throw std::runtime_error(listening.error().text);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~running_server() {
    stop();
    work_.reset();
    thread_.join();
  }
  // Returns when the server says that it has stopped.
  void stop() {
    std::promise<void> stopped;
    asio::post(io_, [&] { server_.stop([&] { stopped.set_value(); }); });
    stopped.get_future().wait();
  }
  std::uint16_t port() const { return server_.port(); }
  boost::asio::io_context& io() { return io_; }

 private:
  silent_logger log_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  http_server server_;
  std::thread thread_;
};

class client {
 public:
  explicit client(const running_server& server) : socket_(io_) {
    socket_.connect({asio::ip::make_address("127.0.0.1"), server.port()});
  }
  void send(std::string_view text) {
    boost::system::error_code gone;  // the server may hang up in the middle: then the reply tells
    asio::write(socket_, asio::buffer(text), gone);
  }
  // Until the server closes.
  std::string read_all() {
    boost::system::error_code end;
    std::string text;
    asio::read(socket_, asio::dynamic_buffer(text), end);
    return text;
  }
  std::string read_some() {
    std::string text(4096, '\0');
    boost::system::error_code end;
    text.resize(socket_.read_some(asio::buffer(text), end));
    return text;
  }
  std::string ask(std::string_view request) {
    send(request);
    return read_all();
  }
  tcp::socket& socket() { return socket_; }

 private:
  asio::io_context io_;
  tcp::socket socket_;
};

constexpr std::string_view get_livez =
    "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

TEST(http_server, answers_get_and_says_how_to_treat_the_answer) {
  running_server server;
  EXPECT_THAT(
      client(server).ask(get_livez),
      AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("X-Content-Type-Options: nosniff\r\n"),
            HasSubstr("Cache-Control: no-store\r\n"), HasSubstr("Content-Length: 3\r\n"),
            testing::EndsWith("\r\n\r\nok\n")));
}

TEST(http_server, head_has_the_length_and_no_body) {
  running_server server;
  EXPECT_THAT(client(server).ask("HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Length: 3\r\n"),
                    testing::EndsWith("\r\n\r\n")));
}

TEST(http_server, a_connection_serves_several_requests) {
  running_server server;
  client c(server);
  for (int i = 0; i < 3; ++i) {
    c.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(c.read_some(), testing::EndsWith("ok\n"));
  }
  // Also when they arrive together.
  c.send(
      "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\nConnection: "
      "close\r\n\r\n");
  EXPECT_THAT(c.read_all(),
              AllOf(StartsWith("HTTP/1.1 200 OK"), HasSubstr("HTTP/1.1 404 Not Found")));
}

TEST(http_server, an_http_1_0_client_is_served_and_closed) {
  running_server server;
  EXPECT_THAT(client(server).ask("GET /livez HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.0 200 OK"));
}

TEST(http_server, other_methods_are_refused_and_their_body_is_not_taken_for_a_request) {
  running_server server;
  for (const std::string method : {"POST", "DELETE", "BREW"}) {
    const auto text =
        client(server).ask(method + " /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 37\r\n\r\n" +
                           "GET /metrics HTTP/1.1\r\nHost: smuggled\r\n\r\n");
    EXPECT_THAT(text, AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed"),
                            HasSubstr("Allow: GET, HEAD"), Not(HasSubstr("mmm"))))
        << method;
  }
}

TEST(http_server, an_oversized_header_is_431) {
  running_server server;
  EXPECT_THAT(client(server).ask("GET /livez HTTP/1.1\r\nHost: x\r\nCookie: " +
                                 std::string(20'000, 'c') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
}

TEST(http_server, what_is_not_http_is_400) {
  running_server server;
  EXPECT_THAT(client(server).ask("AMQP\x01\x01\x09\x01 hello\r\n\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(client(server).ask(get_livez), StartsWith("HTTP/1.1 200 OK"));
}

TEST(http_server, a_client_that_sends_half_a_header_is_dropped) {
  running_server server({.request = std::chrono::milliseconds(50)});
  client c(server);
  c.send("GET /livez HTTP/1.1\r\nHos");
  EXPECT_EQ(c.read_all(), "");
}

TEST(http_server, a_client_that_never_reads_is_dropped) {
  constexpr std::size_t size = 64u << 20;
  running_server server({.connections = 1, .reply = std::chrono::milliseconds(50)}, size);
  client slow(server);
  slow.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  // It occupies the only place until its time is over.
  EXPECT_TRUE(tests::eventually(std::chrono::seconds(20), [&] {
    return client(server).ask(get_livez).starts_with("HTTP/1.1 200 OK");
  }));
  EXPECT_LT(slow.read_all().size(), size);
}

TEST(http_server, many_clients_are_served_at_the_same_time) {
  running_server server;
  std::list<client> clients;
  for (int i = 0; i < 50; ++i)
    clients.emplace_back(server).send("GET /livez HTTP/1.1\r\nHost: x\r\n");
  for (auto& c : clients) c.send("Connection: close\r\n\r\n");
  for (auto& c : clients) EXPECT_THAT(c.read_all(), StartsWith("HTTP/1.1 200 OK"));
}

TEST(http_server, one_connection_too_many_takes_the_place_of_the_one_that_is_quiet_for_longest) {
  running_server server({.connections = 2});
  client first(server), second(server);
  for (auto* c : {&first, &second, &first}) {
    c->send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(c->read_some(), StartsWith("HTTP/1.1 200 OK"));
  }
  EXPECT_THAT(client(server).ask(get_livez), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(second.read_all(), "");
  EXPECT_THAT(first.ask(get_livez), StartsWith("HTTP/1.1 200 OK"));
}

TEST(http_server, stop_closes_idle_connections_and_the_listener) {
  running_server server;
  client idle(server);
  idle.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(idle.read_some(), StartsWith("HTTP/1.1 200 OK"));
  server.stop();
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_THROW(client{server}, boost::system::system_error);
  server.stop();
}

TEST(http_server, stop_does_not_wait_for_a_client_that_never_reads) {
  running_server server({.reply = std::chrono::hours(1), .farewell = std::chrono::milliseconds(50)},
                        64u << 20);
  client slow(server);
  slow.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(slow.read_some(), StartsWith("HTTP/1.1 200 OK")) << "the reply is under way";
  auto stopped = std::async(std::launch::async, [&] { server.stop(); });
  EXPECT_EQ(stopped.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  slow.socket().close();
}

// Answers with what it was sent.
constexpr http_limits with_bodies{.body_bytes = 64};
void echo(const http_request& asked, const http_respond& respond) {
  respond({.body = std::string(asked.method) + " " + std::string(asked.content_type) + " " +
                   std::string(asked.body) + " from " + std::string(asked.remote)});
}
std::string post(std::size_t announced, const std::string& body, const std::string& more = "") {
  return "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n" + more +
         "Content-Length: " + std::to_string(announced) + "\r\n\r\n" + body;
}

TEST(http_server, reads_a_body_where_it_may_and_serves_on) {
  running_server server(with_bodies, echo);
  client c(server);
  for (const std::string body : {"one", "another", ""}) {
    c.send(post(body.size(), body));
    EXPECT_THAT(c.read_some(), testing::EndsWith("POST a/b " + body + " from 127.0.0.1"));
  }
  c.send(
      "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
  EXPECT_THAT(c.read_all(), HasSubstr("abcdefg from"));
}

TEST(http_server, a_body_that_is_too_large_is_413_whether_it_is_announced_or_not) {
  running_server server(with_bodies, echo);
  EXPECT_THAT(client(server).ask(post(65, "")), StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(client(server).ask(post(1u << 30, std::string(1'000, 'x'))),
              StartsWith("HTTP/1.1 413 "));
  const std::string chunk = "28\r\n" + std::string(40, 'x') + "\r\n";
  EXPECT_THAT(
      client(server).ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                         chunk + chunk + chunk),
      StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(client(server).ask(post(64, std::string(64, 'x'), "Connection: close\r\n")),
              StartsWith("HTTP/1.1 200 "));
}

TEST(http_server, a_client_that_sends_half_a_body_is_dropped) {
  running_server server({.body_bytes = 64, .request = std::chrono::milliseconds(50)}, echo);
  client c(server);
  c.send(post(10, "half"));
  EXPECT_EQ(c.read_all(), "");
}

TEST(http_server, an_answer_may_come_later_and_stop_waits_for_it) {
  std::promise<http_respond> asked;
  running_server server(with_bodies, [&](const http_request&, http_respond respond) {
    asked.set_value(std::move(respond));
  });
  client c(server);
  c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const http_respond respond = asked.get_future().get();
  std::thread stopper([&] { server.stop(); });
  // The listener is closed first: then the stop is under way.
  EXPECT_TRUE(tests::eventually(std::chrono::seconds(20), [&] {
    try {
      client{server};
      return false;
    } catch (const boost::system::system_error&) {
      return true;
    }
  }));
  asio::post(server.io(), [&] { respond({.body = "late"}); });
  EXPECT_THAT(c.read_all(), testing::EndsWith("\r\n\r\nlate"));
  stopper.join();
}

TEST(http_server, a_port_that_is_taken_is_an_error_that_names_it) {
  running_server first;
  silent_logger log;
  asio::io_context io;
  http_server second(io.get_executor(), {}, {}, log);
  const auto result = second.start({"127.0.0.1", first.port()});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().text,
              AllOf(HasSubstr("127.0.0.1:" + std::to_string(first.port())), HasSubstr("in use")));
  second.stop([] {});
  io.run();
}

}  // namespace
}  // namespace outboxd::service
