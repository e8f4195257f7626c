// A byte stream to one node, TCP or TLS behind one type. Used on one executor: at most one read and
// one write at a time. It has no time limit of its own: abandon() ends whatever it is waiting for,
// at once.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "relay/amqp/stream_lookup.hpp"
#include "relay/amqp/uri.hpp"

namespace outboxd::relay::amqp {

std::string describe(const boost::system::error_code& e);

// Why the other side's TLS wants nothing of us, and what to do; nullopt: the error is another one.
// With TLS 1.3 a server refuses our certificate only after the handshake: then a read tells.
std::optional<std::string> refused_in_words(const boost::system::error_code& e);

class stream {
 public:
  struct transferred {
    boost::system::error_code error;
    std::size_t bytes = 0;
  };

  explicit stream(const boost::asio::any_io_executor& executor);

  // Resolves, connects to the first address that answers, sets the socket's options and, for amqps,
  // shakes hands: TLS 1.2 or newer, chain and host name verified unless the node says otherwise.
  // Returns what went wrong; where it is the certificate, in words.
  boost::asio::awaitable<std::optional<base::failure>> connect(const endpoint& node);

  // What connect() is waiting for, for a message; empty afterwards.
  std::string_view waiting_for() const { return waiting_for_; }

  boost::asio::awaitable<transferred> read_some(boost::asio::mutable_buffer into);
  boost::asio::awaitable<transferred> write_some(boost::asio::const_buffer from);

  // How long written data may stay unacknowledged before the kernel gives the connection up; zero:
  // for ever. It also counts while the other side is there but reads nothing.
  void limit_unacknowledged(std::chrono::milliseconds limit);

  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

  // "TLSv1.3", or empty without TLS.
  std::string tls_version();

  void close();    // orderly (FIN): what was written is still delivered
  void abandon();  // by reset (RST): what the other side has not read is lost

 private:
  boost::asio::awaitable<std::optional<base::failure>> secure(const endpoint& node);

  name_lookup lookup_;
  boost::asio::ip::tcp::socket socket_;
  std::optional<boost::asio::ssl::context> context_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  std::string_view waiting_for_;
  bool closed_ = false;
};

}  // namespace outboxd::relay::amqp
