#include "tests/support/confirm_filter.hpp"

#include "tests/support/loopback.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <system_error>
#include <vector>

namespace outboxd::tests {
namespace {

unique_fd tcp_socket() {
  return unique_fd(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
}

void send_all(const unique_fd& to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // the thread that reads from it will find out
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::uint64_t number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string big_endian(std::uint64_t value, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = size; i-- > 0; value >>= 8) bytes[i] = static_cast<char>(value & 0xff);
  return bytes;
}

constexpr std::uint32_t channel_open = 20 << 16 | 10;
constexpr std::uint32_t basic_publish = 60 << 16 | 40;
constexpr std::uint32_t basic_ack = 60 << 16 | 80;
constexpr std::uint32_t basic_nack = 60 << 16 | 120;

struct frame {
  std::uint16_t channel = 0;
  std::uint32_t method = 0;  // class << 16 | method; 0: not a method
  std::string_view arguments = {};
  std::string_view all = {};
};

// Takes whole frames off the front of what was received; a part of one stays.
void for_each_frame(std::string& received, const std::function<void(const frame&)>& what) {
  constexpr std::size_t head = 7, tail = 1;
  std::string_view rest = received;
  while (rest.size() >= head) {
    const std::size_t payload = number(rest.substr(3, 4));
    if (rest.size() < head + payload + tail) break;
    frame f{.channel = static_cast<std::uint16_t>(number(rest.substr(1, 2))),
            .all = rest.substr(0, head + payload + tail)};
    constexpr char method_type = 1;
    if (rest[0] == method_type && payload >= 4) {
      f.method = static_cast<std::uint32_t>(number(rest.substr(head, 4)));
      f.arguments = rest.substr(head + 4, payload - 4);
    }
    what(f);
    rest.remove_prefix(f.all.size());
  }
  received.erase(0, received.size() - rest.size());
}

// ticket, exchange, routing key
std::string_view routing_key_of(const frame& publish) {
  const std::string_view a = publish.arguments;
  const std::size_t exchange = number(a.substr(2, 1));
  const std::size_t key = number(a.substr(3 + exchange, 1));
  return a.substr(4 + exchange, key);
}

std::string confirm(std::uint16_t channel, std::uint32_t method, std::uint64_t tag) {
  const std::string payload =
      big_endian(method, 4) + big_endian(tag, 8) + std::string(1, '\0');  // not multiple
  return std::string(1, 1) + big_endian(channel, 2) + big_endian(payload.size(), 4) + payload +
         '\xCE';
}

}  // namespace

class confirm_filter::link {
 public:
  // swallows: whether a publish with that routing key is to go without a confirm.
  link(unique_fd client, unique_fd broker, std::function<bool(std::string_view)> swallows)
      : swallows_(std::move(swallows)),
        client_(std::move(client)),
        broker_(std::move(broker)),
        to_broker_([this] {
          constexpr std::size_t protocol_header = 8;
          pump(client_, broker_, protocol_header, [this](std::string& in) { publishes(in); });
        }),
        to_client_(
            [this] { pump(broker_, client_, 0, [this](std::string& in) { confirms(in); }); }) {}

  ~link() {
    end();
    to_broker_.join();
    to_client_.join();
  }

  void heal() {
    const std::lock_guard lock(mutex_);
    std::string out;
    for (const auto& one : swallowed_) out += one;
    swallowed_.clear();
    for (auto& [number, c] : channels_) {
      for (auto& [tag, swallow] : c.open) swallow = false;
    }
    send_all(client_, out);
  }

 private:
  using tags = std::map<std::uint64_t, bool>;  // whether its confirm is to be swallowed

  struct channel {
    std::uint64_t next = 1;
    tags open = {};
  };

  void end() {
    ::shutdown(client_.get(), SHUT_RDWR);
    ::shutdown(broker_.get(), SHUT_RDWR);
  }

  void pump(const unique_fd& from, const unique_fd& to, std::size_t pass,
            const std::function<void(std::string&)>& look) {
    std::array<char, 65'536> buffer;
    std::string received;
    for (;;) {
      const ssize_t n = ::recv(from.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
      const std::size_t as_is = std::min(pass, bytes.size());
      send_all(to, bytes.substr(0, as_is));
      pass -= as_is;
      received += bytes.substr(as_is);
      look(received);
    }
    end();
  }

  void publishes(std::string& received) {
    std::string out;
    for_each_frame(received, [&](const frame& f) {
      const std::lock_guard lock(mutex_);
      if (f.method == channel_open) channels_[f.channel] = {};
      if (f.method == basic_publish) {
        channel& c = channels_[f.channel];
        c.open[c.next++] = swallows_(routing_key_of(f));
      }
      out += f.all;
    });
    send_all(broker_, out);
  }

  void confirms(std::string& received) {
    const std::lock_guard lock(mutex_);
    std::string out;
    for_each_frame(received, [&](const frame& f) {
      if (f.method == basic_ack || f.method == basic_nack) {
        settle(f, out);
      } else {
        out += f.all;
      }
    });
    send_all(client_, out);
  }

  void settle(const frame& f, std::string& out) {
    const std::uint64_t tag = number(f.arguments.substr(0, 8));
    const bool multiple = (f.arguments[8] & 1) != 0;
    tags& open = channels_[f.channel].open;
    const auto first = multiple ? open.begin() : open.find(tag);
    const auto last = multiple ? open.upper_bound(tag) : first == open.end() ? first : next(first);
    for (auto at = first; at != last; at = open.erase(at)) {
      const std::string one = confirm(f.channel, f.method, at->first);
      if (at->second) {
        swallowed_.push_back(one);
      } else {
        out += one;
      }
    }
  }

  const std::function<bool(std::string_view)> swallows_;
  unique_fd client_, broker_;
  std::mutex mutex_;  // guards what follows, and writing to the client
  std::map<std::uint16_t, channel> channels_;
  std::vector<std::string> swallowed_;
  std::thread to_broker_, to_client_;
};

confirm_filter::confirm_filter(int broker_port)
    : broker_port_(broker_port), listener_(tcp_socket()) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  checked(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
  checked(::listen(listener_.get(), SOMAXCONN), "listen");
  checked(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), "port");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

confirm_filter::~confirm_filter() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  decltype(links_) ending;
  {
    const std::lock_guard lock(mutex_);
    ending.swap(links_);
  }
}

void confirm_filter::accept_all() {
  for (;;) {
    unique_fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return;
    unique_fd broker = tcp_socket();
    const sockaddr_in address = loopback(broker_port_);
    if (::connect(broker.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      continue;
    }
    const int on = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(broker.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::lock_guard lock(mutex_);
    links_.push_back(
        std::make_unique<link>(std::move(client), std::move(broker), [this](std::string_view key) {
          const std::lock_guard asking(mutex_);
          if (routing_key_.empty() || key != routing_key_) return false;
          ++swallowed_;
          return true;
        }));
  }
}

void confirm_filter::swallow(const std::string& routing_key) {
  const std::lock_guard lock(mutex_);
  routing_key_ = routing_key;
}

// A link asks under its own lock, hence never both locks here.
void confirm_filter::heal() {
  std::vector<link*> all;
  {
    const std::lock_guard lock(mutex_);
    routing_key_.clear();
    for (const auto& one : links_) all.push_back(one.get());
  }
  for (link* one : all) one->heal();
}

std::size_t confirm_filter::swallowed() {
  const std::lock_guard lock(mutex_);
  return swallowed_;
}

}  // namespace outboxd::tests
