// The addresses of a host, asked for in a thread of its own: getaddrinfo() takes as long as the
// name servers let it, cannot be ended, and must not keep a connection attempt or the end of the
// process waiting. A look-up that is given up ends by itself, unheard. Used on one executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace outboxd::relay::amqp {

class name_lookup {
 public:
  using addresses = std::vector<boost::asio::ip::tcp::endpoint>;

  explicit name_lookup(const boost::asio::any_io_executor& executor);
  ~name_lookup();
  name_lookup(const name_lookup&) = delete;
  name_lookup& operator=(const name_lookup&) = delete;

  // Call once. Given up: operation_aborted.
  boost::asio::awaitable<addresses> run(std::string host, std::uint16_t port,
                                        boost::system::error_code& error);
  void give_up();

 private:
  struct question;  // shared with the thread

  boost::asio::steady_timer answered_;  // never expires
  std::shared_ptr<question> question_;
};

}  // namespace outboxd::relay::amqp
