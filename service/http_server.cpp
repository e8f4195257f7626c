#include "service/http_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>

namespace outboxd::service {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

using header_parser = http::request_parser<http::empty_body>;
using parser = http::request_parser<http::string_body>;

struct connection {
  explicit connection(tcp::socket socket) : stream(std::move(socket)) {
    beast::error_code gone;  // then nothing is read either
    if (const auto peer = stream.socket().remote_endpoint(gone); !gone)
      remote = peer.address().to_string();
  }
  beast::tcp_stream stream;
  std::string remote;
  bool replying = false;    // from the handler's turn to the last byte
  bool writing = false;     // only while bytes are written
  std::uint64_t since = 0;  // the turn in which it was accepted, or had its last reply
};

// What a handler has not answered yet, and the coroutine that waits for it.
struct awaited_reply {
  explicit awaited_reply(const asio::any_io_executor& executor)
      : ready(executor, asio::steady_timer::time_point::max()) {}
  std::optional<http_reply> reply;
  asio::steady_timer ready;
};

http::response<http::string_body> to_message(http_reply reply, bool head, unsigned version,
                                             bool keep_alive) {
  http::response<http::string_body> message{static_cast<http::status>(reply.status), version};
  message.set(http::field::content_type, reply.content_type);
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : reply.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  message.content_length(reply.body.size());
  if (!head) message.body() = std::move(reply.body);
  return message;
}

http_reply to_reply(const beast::error_code& error) {
  if (error == http::error::body_limit)
    return {.status = 413, .body = "the request's body is too large\n"};
  if (error == http::error::header_limit)
    return {.status = 431, .body = "the request's header is too large\n"};
  return {.status = 400, .body = "this is not HTTP: " + error.message() + "\n"};
}

// The client's bytes are to blame, not its connection.
bool is_malformed(const beast::error_code& error) {
  return error.category() == http::make_error_code(http::error::header_limit).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

http_request to_request(const parser& request, const connection& from) {
  const auto& head = request.get();
  return {.method = head.method_string(),
          .target = head.target(),
          .accept = head[http::field::accept],
          .host = head[http::field::host],
          .origin = head[http::field::origin],
          .fetch_site = head["Sec-Fetch-Site"],
          .authorization = head[http::field::authorization],
          .content_type = head[http::field::content_type],
          .body = head.body(),
          .remote = from.remote};
}

}  // namespace

class http_server::impl : public std::enable_shared_from_this<impl> {
 public:
  impl(asio::any_io_executor executor, http_handler handler, http_limits limits, base::logger& log)
      : executor_(std::move(executor)),
        handler_(std::move(handler)),
        limits_(limits),
        log_(log),
        acceptor_(executor_),
        pause_(executor_),
        farewell_(executor_) {}

  base::result<void> start(const listen_address& where) {
    const tcp::endpoint at(asio::ip::make_address(where.host), where.port);
    beast::error_code error;
    acceptor_.open(at.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(at, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) {
      return base::failure{base::failure_kind::unavailable, "cannot listen on " + where.host + ":" +
                                                                std::to_string(where.port) + ": " +
                                                                error.message()};
    }
    ++running_;
    asio::co_spawn(executor_, accept(),
                   [self = shared_from_this()](const std::exception_ptr& e) { self->ended(e); });
    return {};
  }

  void stop(std::function<void()> done) {
    when_stopped_.push_back(std::move(done));
    if (!stopping_) {
      stopping_ = true;
      beast::error_code ignored;  // closing what is closed already is fine
      acceptor_.close(ignored);
      pause_.cancel();
      for (auto* c : connections_)
        if (!c->replying) c->stream.cancel();
      farewell_.expires_after(limits_.farewell);
      farewell_.async_wait([self = shared_from_this()](beast::error_code cancelled) {
        if (!cancelled) self->cut_off();
      });
    }
    notify_if_stopped();
  }

  std::uint16_t port() const { return port_; }

 private:
  asio::awaitable<void> accept() {
    while (!stopping_) {
      auto [error, socket] = co_await acceptor_.async_accept(as_result);
      if (stopping_) co_return;
      if (error) {
        // Out of descriptors, most likely: pause, or this would spin.
        log_.warn("http.accept_failed", {{"error", error.message()}});
        pause_.expires_after(std::chrono::milliseconds(100));
        co_await pause_.async_wait(as_result);
        continue;
      }
      make_room();
      ++running_;
      asio::co_spawn(executor_, serve(std::move(socket)),
                     [self = shared_from_this()](const std::exception_ptr& e) { self->ended(e); });
    }
  }

  // Else a few clients that say nothing would keep everybody from asking whether we live. Who has
  // asked for nothing for longest goes first; of those that are being answered, if there are no
  // others, the one for longest.
  void make_room() {
    if (connections_.size() < limits_.connections) return;
    const auto goes = std::ranges::min_element(
        connections_, {}, [](const connection* c) { return std::pair(c->replying, c->since); });
    (*goes)->stream.close();  // which ends its coroutine
    connections_.erase(goes);
  }

  // A stream's own limit is that of its next operation, not of the one that waits for a client that
  // does not read.
  void cut_off() {
    for (auto* c : connections_)
      if (c->writing) c->stream.close();
  }

  asio::awaitable<void> serve(tcp::socket socket) {
    connection c(std::move(socket));
    connections_.insert(&c);
    beast::flat_buffer buffer(limits_.header_bytes + 4096);
    while (co_await exchange(c, buffer)) {
    }
    co_await close(c);
    connections_.erase(&c);
  }

  // One request and its reply. False: the connection has served its time.
  asio::awaitable<bool> exchange(connection& c, beast::flat_buffer& buffer) {
    header_parser header;
    header.header_limit(limits_.header_bytes);
    header.body_limit(boost::none);  // what is not read may have any length
    c.since = ++turn_;
    c.stream.expires_after(limits_.request);
    auto [error, size] = co_await http::async_read_header(c.stream, buffer, header, as_result);
    if (stopping_) co_return false;
    if (error) co_return co_await refuse(c, error);

    const bool has_body = header.chunked() || header.content_length().value_or(0) > 0;
    if (limits_.body_bytes > 0 && header.content_length().value_or(0) > limits_.body_bytes)
      co_return co_await refuse(c, http::error::body_limit);
    parser request(std::move(header));
    if (limits_.body_bytes > 0 && has_body) {
      request.body_limit(limits_.body_bytes);
      auto [body_error, body_size] =
          co_await http::async_read(c.stream, buffer, request, as_result);
      if (stopping_) co_return false;
      if (body_error) co_return co_await refuse(c, body_error);
    }
    const auto& head = request.get();
    // What follows a body that is not read could not be told from it.
    const bool keep_alive = head.keep_alive() && (limits_.body_bytes > 0 || !has_body);
    http_reply answer = co_await ask(c, to_request(request, c));
    co_return co_await reply(c, to_message(std::move(answer), head.method() == http::verb::head,
                                           head.version(), keep_alive));
  }

  asio::awaitable<bool> refuse(connection& c, beast::error_code error) {
    if (!is_malformed(error)) co_return false;
    co_return co_await reply(c, to_message(to_reply(error), false, 11, false));
  }

  asio::awaitable<http_reply> ask(connection& c, http_request asked) {
    const auto awaited = std::make_shared<awaited_reply>(executor_);
    c.replying = true;
    handler_(asked, [awaited](http_reply reply) {
      awaited->reply = std::move(reply);
      awaited->ready.cancel();
    });
    if (!awaited->reply) co_await awaited->ready.async_wait(as_result);
    co_return std::move(*awaited->reply);
  }

  asio::awaitable<bool> reply(connection& c, http::response<http::string_body> message) {
    http::response_serializer<http::string_body> serializer(message);
    c.replying = c.writing = true;
    c.stream.expires_after(stopping_ ? limits_.farewell : limits_.reply);
    auto [error, size] = co_await http::async_write(c.stream, serializer, as_result);
    c.replying = c.writing = false;
    if (stopping_ || error) co_return false;
    co_return message.keep_alive();
  }

  // Without reading what the client still sends, closing would be a reset that can overtake the
  // reply.
  asio::awaitable<void> close(connection& c) {
    beast::error_code error;
    c.stream.socket().shutdown(tcp::socket::shutdown_send, error);
    c.stream.expires_after(limits_.farewell);
    std::array<char, 4096> sink{};
    for (std::size_t total = 0; !error && !stopping_ && total < 16 * sink.size();) {
      auto [read_error, size] = co_await c.stream.async_read_some(asio::buffer(sink), as_result);
      error = read_error;
      total += size;
    }
    c.stream.close();
  }

  void ended(const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);  // a bug: it leaves io_context::run()
    --running_;
    notify_if_stopped();
  }

  void notify_if_stopped() {
    if (!stopping_ || running_ > 0) return;
    farewell_.cancel();
    for (auto& done : std::exchange(when_stopped_, {})) asio::post(executor_, std::move(done));
  }

  asio::any_io_executor executor_;
  http_handler handler_;
  http_limits limits_;
  base::logger& log_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  asio::steady_timer farewell_;
  std::unordered_set<connection*> connections_;
  std::uint64_t turn_ = 0;
  std::vector<std::function<void()>> when_stopped_;
  std::size_t running_ = 0;
  std::uint16_t port_ = 0;
  bool stopping_ = false;
};

http_server::http_server(asio::any_io_executor executor, http_handler handler, http_limits limits,
                         base::logger& log)
    : impl_(std::make_shared<impl>(std::move(executor), std::move(handler), limits, log)) {}

http_server::~http_server() = default;

base::result<void> http_server::start(const listen_address& where) {
  return impl_->start(where);
}
std::uint16_t http_server::port() const {
  return impl_->port();
}
void http_server::stop(std::function<void()> done) {
  impl_->stop(std::move(done));
}

}  // namespace outboxd::service
