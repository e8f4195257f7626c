#include "tests/support/amqp_proxy.hpp"

#include "tests/support/loopback.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>
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

}  // namespace

class amqp_proxy::link {
 public:
  link(unique_fd client, unique_fd broker, std::unique_ptr<conversation> talk)
      : talk_(std::move(talk)),
        client_(std::move(client)),
        broker_(std::move(broker)),
        to_broker_([this] {
          constexpr std::size_t protocol_header = 8;
          pump(
              client_, protocol_header,
              [this](const amqp_frame& f, std::string& out) { talk_->to_broker(f, out); },
              [this](std::string_view bytes) { send_all(broker_, bytes); });
        }),
        to_client_([this] {
          pump(
              broker_, 0,
              [this](const amqp_frame& f, std::string& out) { talk_->to_client(f, out); },
              [this](std::string_view bytes) { send_to_client(bytes); });
        }) {}

  ~link() {
    end();
    to_broker_.join();
    to_client_.join();
  }

  conversation& talk() { return *talk_; }

  void send_to_client(std::string_view bytes) {
    const std::lock_guard lock(sending_);
    send_all(client_, bytes);
  }

 private:
  void end() {
    ::shutdown(client_.get(), SHUT_RDWR);
    ::shutdown(broker_.get(), SHUT_RDWR);
  }

  // pass: so many bytes come before the first frame.
  void pump(const unique_fd& from, std::size_t pass,
            const std::function<void(const amqp_frame&, std::string&)>& look,
            const std::function<void(std::string_view)>& send) {
    std::array<char, 65'536> buffer;
    std::string received, out;
    for (;;) {
      const ssize_t n = ::recv(from.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
      const std::size_t as_is = std::min(pass, bytes.size());
      pass -= as_is;
      out.assign(bytes.substr(0, as_is));
      received += bytes.substr(as_is);
      for_each_frame(received, [&](const amqp_frame& f) { look(f, out); });
      send(out);
    }
    end();
  }

  const std::unique_ptr<conversation> talk_;
  unique_fd client_, broker_;
  std::mutex sending_;  // to the client
  std::thread to_broker_, to_client_;
};

amqp_proxy::amqp_proxy(int broker_port, std::function<std::unique_ptr<conversation>()> begin)
    : broker_port_(broker_port), begin_(std::move(begin)), listener_(tcp_socket()) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  checked(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
  checked(::listen(listener_.get(), SOMAXCONN), "listen");
  checked(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), "port");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

amqp_proxy::~amqp_proxy() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  decltype(links_) ending;
  {
    const std::lock_guard lock(mutex_);
    ending.swap(links_);
  }
}

void amqp_proxy::accept_all() {
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
    links_.push_back(std::make_unique<link>(std::move(client), std::move(broker), begin_()));
  }
}

void amqp_proxy::tell_clients(const std::function<std::string(conversation&)>& what) {
  const std::lock_guard lock(mutex_);
  for (const auto& one : links_) one->send_to_client(what(one->talk()));
}

}  // namespace outboxd::tests
