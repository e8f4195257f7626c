#include "service/health_probe.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <optional>

namespace outboxd::service {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

using response = http::response<http::string_body>;

asio::awaitable<response> get(asio::ip::tcp::endpoint at, std::string target, std::string accept,
                              std::chrono::milliseconds limit) {
  beast::tcp_stream stream(co_await asio::this_coro::executor);
  stream.expires_after(limit);
  co_await stream.async_connect(at, asio::use_awaitable);
  http::request<http::empty_body> request{http::verb::get, target, 11};
  request.set(http::field::host, "localhost");
  request.set(http::field::accept, accept);
  request.keep_alive(false);
  co_await http::async_write(stream, request, asio::use_awaitable);
  beast::flat_buffer buffer;
  response answer;
  co_await http::async_read(stream, buffer, answer, asio::use_awaitable);
  co_return answer;
}

}  // namespace

std::string loopback_of(const std::string& listen_host) {
  const auto address = asio::ip::make_address(listen_host);
  if (!address.is_unspecified()) return listen_host;
  return address.is_v6() ? "::1" : "127.0.0.1";
}

base::result<std::string> probe(const listen_address& where, std::string_view target,
                                std::chrono::milliseconds limit, std::string_view accept) {
  const asio::ip::tcp::endpoint at(asio::ip::make_address(loopback_of(where.host)), where.port);
  asio::io_context io{1};
  std::optional<response> answer;
  std::string error;
  asio::co_spawn(io, get(at, std::string(target), std::string(accept), limit),
                 [&](const std::exception_ptr& failed, response r) {
                   if (!failed) answer = std::move(r);
                   try {
                     if (failed) std::rethrow_exception(failed);
                   } catch (const boost::system::system_error& e) {
                     error = e.code().message();
                   }
                 });
  io.run();
  if (!answer) {
    return base::failure{
        base::failure_kind::unavailable,
        at.address().to_string() + ":" + std::to_string(where.port) + ": " + error};
  }
  if (answer->result() != http::status::ok)
    return base::failure{base::failure_kind::not_ready, answer->body()};
  return answer->body();
}

}  // namespace outboxd::service
