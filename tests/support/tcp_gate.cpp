#include "tests/support/tcp_gate.hpp"

#include "tests/support/loopback.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace outboxd::tests {
namespace {

unique_fd bound_socket(int port) {
  unique_fd fd(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  checked(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  return fd;
}

int port_of(const unique_fd& fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  checked(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

// Bound to a port that was named, the socket keeps it also while it does not listen; one that the
// kernel chose would be given away then.
unique_fd socket_with_a_port() {
  const int port = port_of(bound_socket(0));
  return bound_socket(port);
}

void prepare(const unique_fd& fd) {
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  checked(::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK), "fcntl");
}

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

void close_with_reset(unique_fd& fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  fd.reset();
}

void close_both(unique_fd& client, unique_fd& server) {
  close_with_reset(client);
  close_with_reset(server);
}

// True when the peer has said FIN or is gone.
bool discard(const unique_fd& from) {
  char bytes[4096];
  for (;;) {
    const ssize_t n = ::recv(from.get(), bytes, sizeof bytes, 0);
    if (n == 0) return true;
    if (n < 0) return !would_block();
  }
}

}  // namespace

tcp_gate::tcp_gate(int server_port)
    : server_port_(server_port),
      wake_(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      listener_(socket_with_a_port()) {
  port_ = port_of(listener_);
  checked(::listen(listener_.get(), SOMAXCONN), "listen");
  thread_ = std::thread([this] { run(); });
}

tcp_gate::~tcp_gate() {
  command([this] { stopping_ = true; });
  thread_.join();
}

std::string tcp_gate::through(std::string url) const {
  const std::string direct = ":" + std::to_string(server_port_) + "/";
  return url.replace(url.find(direct), direct.size(), ":" + std::to_string(port_) + "/");
}

void tcp_gate::pass() {
  command([this] {
    for_each_flow(direction::both, [](flow& through) {
      through.stalled = false;
      through.late = {};
      through.rate = 0;
    });
    if (refusing_) checked(::listen(listener_.get(), SOMAXCONN), "listen");
    refusing_ = false;
  });
}

void tcp_gate::refuse() {
  command([this] {
    if (!refusing_) checked(::shutdown(listener_.get(), SHUT_RDWR), "shutdown");
    refusing_ = true;
  });
}

void tcp_gate::stall(direction which) {
  command([this, which] { for_each_flow(which, [](flow& through) { through.stalled = true; }); });
}

void tcp_gate::delay(direction which, std::chrono::milliseconds by) {
  command([this, which, by] { for_each_flow(which, [by](flow& through) { through.late = by; }); });
}

void tcp_gate::trickle(direction which, std::size_t bytes_per_second) {
  command([this, which, bytes_per_second] {
    for_each_flow(which, [=](flow& through) { through.rate = bytes_per_second; });
  });
}

void tcp_gate::cut() {
  command([this] {
    for (link& on : links_) {
      on.cut = true;
      ::shutdown(on.client.get(), SHUT_WR);
      ::shutdown(on.server.get(), SHUT_WR);
    }
  });
}

void tcp_gate::reset() {
  command([this] {
    for (link& on : links_) close_both(on.client, on.server);
    links_.clear();
  });
}

std::size_t tcp_gate::connections() {
  std::size_t count = 0;
  command([&] {
    for (const link& on : links_) count += on.cut ? 0 : 1;
  });
  return count;
}

std::uint64_t tcp_gate::forwarded(direction which) {
  std::uint64_t count = 0;
  command([&] { for_each_flow(which, [&](const flow& through) { count += through.bytes; }); });
  return count;
}

void tcp_gate::for_each_flow(direction which, const std::function<void(flow&)>& what) {
  if (which != direction::to_client) what(to_server_);
  if (which != direction::to_server) what(to_client_);
}

// Runs it in the thread, and waits for it; what it throws comes out here.
void tcp_gate::command(std::function<void()> what) {
  std::packaged_task<void()> task(std::move(what));
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  checked(static_cast<int>(::write(wake_.get(), &one, sizeof one)), "wake the gate");
  done.get();
}

void tcp_gate::obey() {
  std::uint64_t count = 0;
  if (::read(wake_.get(), &count, sizeof count) < 0) return;
  std::vector<std::packaged_task<void()>> todo;
  {
    const std::lock_guard lock(mutex_);
    todo.swap(commands_);
  }
  for (auto& task : todo) task();
}

void tcp_gate::accept_one() {
  unique_fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client) return;
  unique_fd server(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const sockaddr_in address = loopback(server_port_);
  if (::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close_with_reset(client);
    return;
  }
  prepare(client);
  prepare(server);
  links_.push_back({std::move(client), std::move(server)});
}

// Without a delay nothing is read ahead: what the receiver does not take waits in the kernel.
bool tcp_gate::wants_more(const stream& state, const flow& through) {
  constexpr std::size_t most = 1u << 20;
  if (state.silent) return false;
  return state.pending.empty() || (through.late.count() > 0 && state.held < most);
}

// When the next bytes, or the end, may be passed on.
tcp_gate::clock::time_point tcp_gate::ready_at(const stream& state, const flow& through) {
  auto at = clock::time_point::min();
  if (through.rate > 0) at = state.next;
  if (through.late.count() > 0) at = std::max(at, state.pending.front().due);
  return at;
}

// At most one read and one write, so that no connection starves another. False: broken.
bool tcp_gate::advance(const unique_fd& from, const unique_fd& to, stream& state, flow& through) {
  if (through.stalled || state.ended) return true;
  const auto now = clock::now();
  if (wants_more(state, through)) {
    std::vector<char> bytes(65536);
    const ssize_t n = ::recv(from.get(), bytes.data(), bytes.size(), 0);
    if (n < 0 && !would_block()) return false;
    if (n >= 0) {
      bytes.resize(static_cast<std::size_t>(n));
      state.held += bytes.size();
      state.silent = n == 0;
      state.pending.push_back({now + through.late, std::move(bytes)});
    }
  }
  if (state.pending.empty() || ready_at(state, through) > now) return true;
  std::vector<char>& bytes = state.pending.front().bytes;
  if (bytes.empty()) {  // the FIN
    state.ended = true;
    ::shutdown(to.get(), SHUT_WR);
    return true;
  }
  constexpr std::size_t drops_per_second = 50;
  const std::size_t most =
      through.rate == 0 ? bytes.size()
                        : std::clamp<std::size_t>(through.rate / drops_per_second, 1, bytes.size());
  const ssize_t n = ::send(to.get(), bytes.data(), most, MSG_NOSIGNAL);
  if (n < 0) return would_block();
  if (through.rate > 0)
    state.next =
        now + std::chrono::microseconds(n * 1'000'000 / static_cast<ssize_t>(through.rate));
  bytes.erase(bytes.begin(), bytes.begin() + n);
  if (bytes.empty()) state.pending.pop_front();
  state.held -= static_cast<std::size_t>(n);
  through.bytes += static_cast<std::uint64_t>(n);
  return true;
}

// False when the connection is over.
bool tcp_gate::serve(link& on) {
  if (on.cut) {
    on.to_server.ended = on.to_server.ended || discard(on.client);
    on.to_client.ended = on.to_client.ended || discard(on.server);
    return !(on.to_server.ended && on.to_client.ended);
  }
  if (!advance(on.client, on.server, on.to_server, to_server_) ||
      !advance(on.server, on.client, on.to_client, to_client_)) {
    close_both(on.client, on.server);
    return false;
  }
  return !(on.to_server.ended && on.to_client.ended);
}

tcp_gate::wait tcp_gate::awaited() const {
  constexpr int nothing = -1;
  wait for_what{{{wake_.get(), POLLIN, 0}, {refusing_ ? nothing : listener_.get(), POLLIN, 0}}};
  const auto now = clock::now();
  const auto add = [&](const link& on, const unique_fd& from, const unique_fd& to,
                       const stream& state, const flow& through) {
    if (state.ended || (through.stalled && !on.cut)) return;
    if (on.cut || wants_more(state, through)) for_what.fds.push_back({from.get(), POLLIN, 0});
    if (on.cut || state.pending.empty()) return;
    const auto ready = ready_at(state, through);
    if (ready > now)
      for_what.until = std::min(for_what.until, ready);
    else
      for_what.fds.push_back({to.get(), POLLOUT, 0});
  };
  for (const link& on : links_) {
    add(on, on.client, on.server, on.to_server, to_server_);
    add(on, on.server, on.client, on.to_client, to_client_);
  }
  return for_what;
}

void tcp_gate::run() {
  while (!stopping_) {
    auto [fds, until] = awaited();
    int limit = -1;
    if (until != clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
      limit = std::max(0, static_cast<int>(left.count()));
    }
    if (::poll(fds.data(), fds.size(), limit) < 0) continue;
    links_.remove_if([this](link& on) { return !serve(on); });
    if (fds[1].revents & POLLIN) accept_one();
    if (fds[0].revents) obey();
  }
  for (link& on : links_) close_both(on.client, on.server);
}

}  // namespace outboxd::tests
