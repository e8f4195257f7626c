#include "tests/support/scripted_broker.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/endian/conversion.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

namespace outboxd::tests {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

// ---- bytes

class bytes {
 public:
  template <typename T>
  bytes& number(T value) {
    unsigned char big[sizeof(T)];
    boost::endian::endian_store<T, sizeof(T), boost::endian::order::big>(big, value);
    text_.append(reinterpret_cast<const char*>(big), sizeof big);
    return *this;
  }
  bytes& u8(unsigned v) { return number(static_cast<std::uint8_t>(v)); }
  bytes& u16(unsigned v) { return number(static_cast<std::uint16_t>(v)); }
  bytes& u32(std::size_t v) { return number(static_cast<std::uint32_t>(v)); }
  bytes& u64(std::uint64_t v) { return number(v); }
  bytes& raw(std::string_view s) {
    text_ += s;
    return *this;
  }
  bytes& short_string(std::string_view s) { return u8(static_cast<unsigned>(s.size())).raw(s); }
  bytes& long_string(std::string_view s) { return u32(s.size()).raw(s); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string frame(unsigned type, unsigned channel, std::string_view payload) {
  return bytes().u8(type).u16(channel).u32(payload.size()).raw(payload).u8(0xCE).text();
}

std::string method_frame(unsigned channel, std::uint32_t id, const bytes& arguments = {}) {
  return frame(1, channel, bytes().u32(id).raw(arguments.text()).text());
}

std::string server_properties() {
  bytes capabilities;
  for (const char* name :
       {"publisher_confirms", "basic.nack", "connection.blocked", "authentication_failure_close"}) {
    capabilities.short_string(name).raw("t").u8(1);
  }
  bytes all;
  all.short_string("product").raw("S").long_string("ScriptedMQ");
  all.short_string("version").raw("S").long_string("1.0");
  all.short_string("cluster_name").raw("S").long_string("scripted");
  all.short_string("capabilities").raw("F").long_string(capabilities.text());
  return all.text();
}

// ---- one connection

class connection final : public broker_side {
 public:
  connection(tcp::socket socket, int number, ssl::context* tls)
      : socket_(std::move(socket)), number_(number) {
    socket_.set_option(tcp::no_delay(true));
    if (tls != nullptr) tls_.emplace(socket_, *tls);
  }

  void secure() {
    if (tls_) tls_->handshake(ssl::stream_base::server);
  }

  // From any thread: ends whatever the script is waiting for.
  void stop() { ::shutdown(socket_.native_handle(), SHUT_RDWR); }

  int number() const override { return number_; }
  std::string server_name() override {
    const char* name = tls_ ? SSL_get_servername(tls_->native_handle(), 0) : "";
    return name ? name : "";
  }

  void greet(std::string_view mechanisms) override {
    char header[8];
    receive(header, sizeof header);
    if (std::string_view(header, sizeof header) != std::string_view("AMQP\0\0\x09\x01", 8)) {
      throw unexpected("not the protocol header of AMQP 0-9-1");
    }
    send(method_frame(0, method::id(10, 10),
                      bytes()
                          .u8(0)
                          .u8(9)
                          .long_string(server_properties())
                          .long_string(mechanisms)
                          .long_string("en_US")));
    expect(method::start_ok);
  }

  void tune(std::uint16_t heartbeat) override {
    ask_to_tune(2047, 131'072, heartbeat);
    expect(method::tune_ok);
    expect(method::connection_open);
  }

  void ask_to_tune(std::uint16_t channel_max, std::uint32_t frame_max,
                   std::uint16_t heartbeat) override {
    send(method_frame(0, method::id(10, 30),
                      bytes().u16(channel_max).u32(frame_max).u16(heartbeat)));
  }

  void open() override {
    send(method_frame(0, method::id(10, 41), bytes().short_string("")));
    for (int i = 0; i < 3; ++i) answer_opening();
  }

  void open_confirm_channel() override {
    for (int i = 0; i < 2; ++i) answer_opening();
  }

  received_frame read() override {
    for (;;) {
      received_frame f = read_any();
      if (f.type != 8) return f;
    }
  }

  received_frame read_until(std::uint32_t wanted) override {
    for (;;) {
      received_frame f = read();
      if (f.method == wanted) return f;
    }
  }

  std::size_t take_until_quiet(std::chrono::milliseconds limit) override {
    char sink[65'536];
    std::size_t taken = 0;
    pollfd readable{socket_.native_handle(), POLLIN, 0};
    error_code e;
    while (!e && ::poll(&readable, 1, static_cast<int>(limit.count())) > 0) {
      taken += socket_.read_some(asio::buffer(sink), e);
    }
    return taken;
  }

  how_it_ended wait_for_the_end() override {
    char sink[4096];
    for (;;) {
      error_code e;
      receive_some(sink, sizeof sink, e);
      if (e == asio::error::connection_reset) return how_it_ended::reset;
      if (e) return how_it_ended::closed;
    }
  }

  how_it_ended wait_until_hung_up(std::chrono::milliseconds limit) override {
    pollfd hung_up{socket_.native_handle(), POLLRDHUP, 0};
    if (::poll(&hung_up, 1, static_cast<int>(limit.count())) == 0)
      throw unexpected("the client is still there");
    return (hung_up.revents & POLLERR) != 0 ? how_it_ended::reset : how_it_ended::closed;
  }

  void send(std::string_view what) override {
    error_code e;
    if (tls_) {
      asio::write(*tls_, asio::buffer(what), e);
    } else {
      asio::write(socket_, asio::buffer(what), e);
    }
    if (e) throw unexpected("the client is gone: " + e.message());
  }

  void cut() override { stop(); }

  void reset() override {
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;  // dissolves the association
    ::connect(socket_.native_handle(), &nobody, sizeof nobody);
  }

 private:
  void receive(char* into, std::size_t size) {
    error_code e;
    if (tls_) {
      asio::read(*tls_, asio::buffer(into, size), e);
    } else {
      asio::read(socket_, asio::buffer(into, size), e);
    }
    if (e) throw unexpected("the client is gone: " + e.message());
  }

  void receive_some(char* into, std::size_t size, error_code& e) {
    if (tls_) {
      tls_->read_some(asio::buffer(into, size), e);
    } else {
      socket_.read_some(asio::buffer(into, size), e);
    }
  }

  received_frame read_any() {
    unsigned char head[7];
    receive(reinterpret_cast<char*>(head), sizeof head);
    received_frame f;
    f.type = head[0];
    f.channel = boost::endian::load_big_u16(head + 1);
    f.payload.resize(boost::endian::load_big_u32(head + 3));
    receive(f.payload.data(), f.payload.size());
    char end = 0;
    receive(&end, 1);
    if (end != '\xCE') throw unexpected("a frame without its end octet");
    if (f.type == 1) {
      f.method = boost::endian::load_big_u32(reinterpret_cast<unsigned char*>(f.payload.data()));
      f.payload.erase(0, 4);
    }
    return f;
  }

  void answer_opening() {
    const received_frame f = read();
    if (f.method == method::channel_open) {
      send(method_frame(f.channel, method::id(20, 11), bytes().long_string("")));
    } else if (f.method == method::confirm_select) {
      send(method_frame(f.channel, method::id(85, 11)));
    } else {
      throw unexpected("a frame before the channels were open");
    }
  }

  void expect(std::uint32_t wanted) {
    const received_frame f = read();
    if (f.method != wanted) {
      throw unexpected("method " + std::to_string(f.method >> 16) + "," +
                       std::to_string(f.method & 0xffff) + " instead of " +
                       std::to_string(wanted >> 16) + "," + std::to_string(wanted & 0xffff));
    }
  }

  tcp::socket socket_;
  std::optional<ssl::stream<tcp::socket&>> tls_;
  int number_;
};

}  // namespace

// ---- what a script can say

void broker_side::ack(std::uint64_t tag, bool multiple) {
  send(method_frame(1, method::id(60, 80), bytes().u64(tag).u8(multiple ? 1 : 0)));
}

void broker_side::nack(std::uint64_t tag, bool multiple) {
  send(method_frame(1, method::id(60, 120), bytes().u64(tag).u8(multiple ? 1 : 0)));
}

void broker_side::blocked(std::string_view reason) {
  send(method_frame(0, method::id(10, 60), bytes().short_string(reason)));
}

void broker_side::unblocked() {
  send(method_frame(0, method::id(10, 61)));
}

void broker_side::close_connection(int code, std::string_view text) {
  const auto c = static_cast<unsigned>(code);
  send(method_frame(0, method::connection_close, bytes().u16(c).short_string(text).u16(0).u16(0)));
}

void broker_side::close_ok() {
  send(method_frame(0, method::connection_close_ok));
}

void broker_side::close_channel(std::uint16_t channel, int code, std::string_view text) {
  const auto why = bytes().u16(static_cast<unsigned>(code)).short_string(text).u16(60).u16(40);
  send(method_frame(channel, method::channel_close, why));
}

void broker_side::heartbeat() {
  send(frame(8, 0, ""));
}

// ---- the server

class scripted_broker::impl {
 public:
  impl(script what, const std::optional<certificate>& tls)
      : script_(std::move(what)),
        acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    if (tls) {
      tls_.emplace(ssl::context::tls_server);
      tls_->use_certificate_chain_file(tls->chain_file);
      tls_->use_private_key_file(tls->key_file, ssl::context::pem);
    }
    port_ = acceptor_.local_endpoint().port();
    thread_ = std::thread([this] { accept(); });
  }

  ~impl() {
    // A blocked accept() is ended by a connection, not by closing its descriptor.
    stopping_ = true;
    tcp::socket knock(io_);
    error_code ignored;
    knock.connect({asio::ip::address_v4::loopback(), port_}, ignored);
    thread_.join();
    for (served& s : served_) {
      s.side.stop();
      s.thread.join();
    }
  }

  bool tls() const { return tls_.has_value(); }
  int port() const { return port_; }
  int connections() const { return connections_; }
  std::string complaints() const {
    const std::lock_guard guard(mutex_);
    return complaints_;
  }

 private:
  struct served {
    served(tcp::socket socket, int number, ssl::context* tls)
        : side(std::move(socket), number, tls) {}
    connection side;
    std::thread thread;
  };

  void accept() {
    for (;;) {
      tcp::socket socket = acceptor_.accept();
      if (stopping_) return;
      served& s = served_.emplace_back(std::move(socket), connections_++, tls_ ? &*tls_ : nullptr);
      s.thread = std::thread([this, &s] { serve(s.side); });
    }
  }

  void serve(connection& side) {
    try {
      side.secure();
      script_(side);
    } catch (const std::exception& e) {
      if (!stopping_) {
        const std::lock_guard guard(mutex_);
        complaints_ += "connection " + std::to_string(side.number()) + ": " + e.what() + "\n";
      }
    }
    side.cut();
  }

  script script_;
  asio::io_context io_;
  std::optional<ssl::context> tls_;
  tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> connections_ = 0;
  mutable std::mutex mutex_;
  std::string complaints_;
  std::list<served> served_;  // by the accepting thread, then by the destructor
  std::thread thread_;
};

scripted_broker::scripted_broker(script what, const std::optional<certificate>& tls)
    : impl_(std::make_unique<impl>(std::move(what), tls)) {}

scripted_broker::~scripted_broker() = default;

int scripted_broker::port() const {
  return impl_->port();
}

std::string scripted_broker::url(std::string_view query) const {
  return std::string(impl_->tls() ? "amqps" : "amqp") +
         "://guest:guest@localhost:" + std::to_string(port()) + "/%2f" +
         (query.empty() ? "" : "?") + std::string(query);
}

int scripted_broker::connections() const {
  return impl_->connections();
}

std::string scripted_broker::complaints() const {
  return impl_->complaints();
}

}  // namespace outboxd::tests
