#include "relay/amqp/stream.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <memory>
#include <utility>

#include "base/tls_words.hpp"

namespace outboxd::relay::amqp {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

base::failure unavailable(std::string what, const error_code& e) {
  return {base::failure_kind::unavailable, std::move(what) + ": " + e.message()};
}

base::failure bad_file(const char* what, const std::string& file, const error_code& e) {
  return {base::failure_kind::bad_input,
          std::string("cannot use the ") + what + " " + file + ": " + e.message()};
}

// For options that help but that a connection can do without: that one was refused is of no
// interest.
void set_tcp_option(tcp::socket& socket, int name, int value) {
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, name, &value, sizeof value);
}

void tune_socket(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  set_tcp_option(socket, TCP_KEEPIDLE, 30);
  set_tcp_option(socket, TCP_KEEPINTVL, 10);
  set_tcp_option(socket, TCP_KEEPCNT, 3);
}

// OpenSSL would ask on the terminal for the password of a key, and wait for it.
std::optional<base::failure> load_key(ssl::context& context, const std::string& file) {
  const auto has_password = std::make_shared<bool>(false);  // the context keeps what it calls
  error_code e;
  context.set_password_callback(
      [has_password](std::size_t, ssl::context::password_purpose) {
        *has_password = true;
        return std::string();
      },
      e);
  if (!e) context.use_private_key_file(file, ssl::context::pem, e);
  if (*has_password) {
    return base::failure{
        base::failure_kind::bad_input,
        "the client key " + file +
            " has a password, which is not supported: use one without, readable by "
            "this user only"};
  }
  if (e) return bad_file("client key", file, e);
  return std::nullopt;
}

std::optional<base::failure> load_certificates(ssl::context& context, const endpoint& node) {
  error_code e;
  if (!node.ca_file.empty()) {
    context.load_verify_file(node.ca_file, e);
    if (e) return bad_file("authorities' file", node.ca_file, e);
  } else {
    context.set_default_verify_paths(e);
    if (e) return unavailable("cannot read the system's certificate authorities", e);
  }
  if (!node.certificate_file.empty()) {
    context.use_certificate_chain_file(node.certificate_file, e);
    if (e) return bad_file("client certificate", node.certificate_file, e);
    // Key and certificate may share a file.
    const std::string& key = node.key_file.empty() ? node.certificate_file : node.key_file;
    return load_key(context, key);
  }
  return std::nullopt;
}

// The name is checked by OpenSSL as part of the chain, so that its verdict can tell a wrong name.
void expect_name(SSL* connection, const std::string& name, bool verify) {
  error_code not_an_address;
  asio::ip::make_address(name, not_an_address);
  if (not_an_address) SSL_set_tlsext_host_name(connection, name.c_str());
  if (!verify) return;
  if (not_an_address) {
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(connection, name.c_str());
  } else {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name.c_str());
  }
}

constexpr base::tls_settings called{"cacertfile", "certfile and keyfile"};

std::string why_not_secure(SSL* connection, const std::string& name, const error_code& e) {
  const long verdict = SSL_get_verify_result(connection);
  if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    return base::certificate_words(verdict, name, called) +
           " (server_name_indication sets the expected name)";
  }
  // Without verification there is a verdict too, and it is not what the handshake failed with.
  const bool refused_by_us =
      ERR_GET_REASON(static_cast<unsigned long>(e.value())) == SSL_R_CERTIFICATE_VERIFY_FAILED;
  if (verdict != X509_V_OK && refused_by_us) return base::certificate_words(verdict, name, called);
  return "TLS handshake failed: " + refused_in_words(e).value_or(describe(e));
}

}  // namespace

std::string describe(const error_code& e) {
  if (e == asio::error::eof || e == ssl::error::stream_truncated)
    return "the server closed the connection";
  return e.message();
}

std::optional<std::string> refused_in_words(const error_code& e) {
  if (e.category() != asio::error::get_ssl_category()) return std::nullopt;
  const auto* const reason = base::find_reason(static_cast<unsigned long>(e.value()));
  if (reason == nullptr) return std::nullopt;
  return base::refusal_words(*reason, called);
}

stream::stream(const asio::any_io_executor& executor) : lookup_(executor), socket_(executor) {}

asio::awaitable<std::optional<base::failure>> stream::connect(const endpoint& node) {
  error_code e;
  waiting_for_ = "the name look-up";
  const name_lookup::addresses addresses = co_await lookup_.run(node.host, node.port, e);
  if (closed_) co_return unavailable("given up", asio::error::operation_aborted);
  if (e) co_return unavailable("cannot resolve " + node.host, e);

  waiting_for_ = "the TCP connection";
  for (const tcp::endpoint& address : addresses) {
    error_code ignored;
    socket_.close(ignored);
    socket_.open(address.protocol(), e);  // said apart: no descriptor may be left
    if (e) continue;
    co_await socket_.async_connect(address, asio::redirect_error(asio::use_awaitable, e));
    if (closed_ || !e) break;
  }
  if (closed_) co_return unavailable("given up", asio::error::operation_aborted);
  if (e) co_return unavailable("cannot connect", e);

  tune_socket(socket_);
  if (node.tls) {
    waiting_for_ = "the TLS handshake";
    if (auto failed = co_await secure(node)) co_return failed;
  }
  waiting_for_ = {};
  co_return std::nullopt;
}

asio::awaitable<std::optional<base::failure>> stream::secure(const endpoint& node) {
  const std::string name = node.server_name.empty() ? node.host : node.server_name;
  context_.emplace(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context_->native_handle(), TLS1_2_VERSION);
  if (auto failed = load_certificates(*context_, node)) co_return failed;
  context_->set_verify_mode(node.verify_peer ? ssl::verify_peer : ssl::verify_none);
  tls_.emplace(socket_, *context_);
  expect_name(tls_->native_handle(), name, node.verify_peer);

  error_code e;
  co_await tls_->async_handshake(ssl::stream_base::client,
                                 asio::redirect_error(asio::use_awaitable, e));
  if (closed_) co_return unavailable("given up", asio::error::operation_aborted);
  if (e) {
    co_return base::failure{base::failure_kind::unavailable,
                            why_not_secure(tls_->native_handle(), name, e)};
  }
  co_return std::nullopt;
}

asio::awaitable<stream::transferred> stream::read_some(asio::mutable_buffer into) {
  transferred t;
  if (tls_) {
    t.bytes =
        co_await tls_->async_read_some(into, asio::redirect_error(asio::use_awaitable, t.error));
  } else {
    t.bytes =
        co_await socket_.async_read_some(into, asio::redirect_error(asio::use_awaitable, t.error));
  }
  co_return t;
}

asio::awaitable<stream::transferred> stream::write_some(asio::const_buffer from) {
  transferred t;
  if (tls_) {
    t.bytes =
        co_await tls_->async_write_some(from, asio::redirect_error(asio::use_awaitable, t.error));
  } else {
    t.bytes =
        co_await socket_.async_write_some(from, asio::redirect_error(asio::use_awaitable, t.error));
  }
  co_return t;
}

void stream::limit_unacknowledged(std::chrono::milliseconds limit) {
  set_tcp_option(socket_, TCP_USER_TIMEOUT, static_cast<int>(limit.count()));
}

std::string stream::tls_version() {
  return tls_ ? SSL_get_version(tls_->native_handle()) : "";
}

void stream::close() {
  error_code ignored;
  closed_ = true;
  lookup_.give_up();
  socket_.close(ignored);
}

void stream::abandon() {
  error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  close();
}

}  // namespace outboxd::relay::amqp
