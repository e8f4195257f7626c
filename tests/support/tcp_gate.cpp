#include "tests/support/tcp_gate.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace outboxd::tests {
namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

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

enum class step { idle, moved, ended, broken };

// At most one read and one write, so that no connection starves another.
step move_bytes(const unique_fd& from, const unique_fd& to, std::vector<char>& pending,
                std::uint64_t& count) {
  constexpr std::size_t most = 65536;
  if (pending.empty()) {
    pending.resize(most);
    const ssize_t n = ::recv(from.get(), pending.data(), pending.size(), 0);
    pending.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n == 0) return step::ended;
    if (n < 0) return would_block() ? step::idle : step::broken;
  }
  const ssize_t n = ::send(to.get(), pending.data(), pending.size(), MSG_NOSIGNAL);
  if (n < 0) return would_block() ? step::idle : step::broken;
  pending.erase(pending.begin(), pending.begin() + n);
  count += static_cast<std::uint64_t>(n);
  return step::moved;
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

void tcp_gate::pass() {
  command([this] {
    to_server_.stalled = to_client_.stalled = false;
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
  command([this, which] {
    if (which != direction::to_client) to_server_.stalled = true;
    if (which != direction::to_server) to_client_.stalled = true;
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
  command([&] {
    if (which != direction::to_client) count += to_server_.bytes;
    if (which != direction::to_server) count += to_client_.bytes;
  });
  return count;
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

// False when the connection is over.
bool tcp_gate::serve(link& on) {
  if (on.cut) {
    on.to_server.ended = on.to_server.ended || discard(on.client);
    on.to_client.ended = on.to_client.ended || discard(on.server);
    return !(on.to_server.ended && on.to_client.ended);
  }
  const auto advance = [](const unique_fd& from, const unique_fd& to, stream& state,
                          flow& through) {
    if (through.stalled || state.ended) return true;
    const step result = move_bytes(from, to, state.pending, through.bytes);
    if (result == step::ended) {
      state.ended = true;
      ::shutdown(to.get(), SHUT_WR);
    }
    return result != step::broken;
  };
  if (!advance(on.client, on.server, on.to_server, to_server_) ||
      !advance(on.server, on.client, on.to_client, to_client_)) {
    close_both(on.client, on.server);
    return false;
  }
  return !(on.to_server.ended && on.to_client.ended);
}

std::vector<pollfd> tcp_gate::awaited() const {
  constexpr int nothing = -1;
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0},
                          {refusing_ ? nothing : listener_.get(), POLLIN, 0}};
  const auto add = [&](const link& on, const unique_fd& from, const unique_fd& to,
                       const stream& state, const flow& through) {
    if (state.ended || (through.stalled && !on.cut)) return;
    if (state.pending.empty() || on.cut)
      fds.push_back({from.get(), POLLIN, 0});
    else
      fds.push_back({to.get(), POLLOUT, 0});
  };
  for (const link& on : links_) {
    add(on, on.client, on.server, on.to_server, to_server_);
    add(on, on.server, on.client, on.to_client, to_client_);
  }
  return fds;
}

void tcp_gate::run() {
  while (!stopping_) {
    std::vector<pollfd> fds = awaited();
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    links_.remove_if([this](link& on) { return !serve(on); });
    if (fds[1].revents & POLLIN) accept_one();
    if (fds[0].revents) obey();
  }
  for (link& on : links_) close_both(on.client, on.server);
}

}  // namespace outboxd::tests
