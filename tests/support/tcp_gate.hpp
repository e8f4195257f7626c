// A TCP proxy on 127.0.0.1 between a client and a server, in a thread of its own, that misbehaves
// on command. A command has been carried out when its call returns. Bytes are forwarded in order
// and unchanged; those of a stalled direction wait in the kernel until it flows again or the
// connection ends. Callable from any thread; the destructor resets what is open.
#pragma once

#include "tests/support/unique_fd.hpp"

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace outboxd::tests {

enum class direction { to_server, to_client, both };

class tcp_gate {
 public:
  explicit tcp_gate(int server_port);
  ~tcp_gate();

  tcp_gate(const tcp_gate&) = delete;
  tcp_gate& operator=(const tcp_gate&) = delete;

  int port() const { return port_; }
  // A URL of the server, with the gate's port in the place of the server's.
  std::string through(std::string url) const;

  // Everything flows (the state at the start): undoes refuse(), stall(), delay() and trickle().
  void pass();
  // New connections are refused, as if nobody listened. Open ones are not touched.
  void refuse();
  // The direction stops, on open connections and on new ones.
  void stall(direction which);
  // Every byte of the direction arrives so much later. The gate reads ahead, up to a megabyte.
  void delay(direction which, std::chrono::milliseconds by);
  // So many bytes in a second on each connection, a few at a time.
  void trickle(direction which, std::size_t bytes_per_second);
  // Open connections end, for both sides in order (FIN) or by a reset (RST).
  void cut();
  void reset();

  // Open connections, and the bytes that went through so far, all connections together.
  std::size_t connections();
  std::uint64_t forwarded(direction which);

 private:
  using clock = std::chrono::steady_clock;

  struct chunk {
    clock::time_point due;
    std::vector<char> bytes;
  };
  // One direction of a connection.
  struct stream {
    std::deque<chunk> pending = {};  // read, not yet written
    std::size_t held = 0;            // bytes of all of them
    clock::time_point next = {};     // while it trickles: when more may be written
    bool silent = false;             // the sender has said FIN; what is pending goes first
    bool ended = false;              // and that has been passed on
  };
  struct link {
    unique_fd client, server;
    stream to_server = {}, to_client = {};
    bool cut = false;  // both have got a FIN; what they still send is thrown away
  };
  struct flow {
    bool stalled = false;
    std::chrono::milliseconds late{0};
    std::size_t rate = 0;  // bytes a second, 0: any
    std::uint64_t bytes = 0;
  };
  // What the thread waits for.
  struct wait {
    std::vector<pollfd> fds;
    clock::time_point until = clock::time_point::max();
  };

  void command(std::function<void()> what);
  void for_each_flow(direction which, const std::function<void(flow&)>& what);
  void run();
  wait awaited() const;
  void obey();
  void accept_one();
  bool serve(link& on);

  static bool wants_more(const stream& state, const flow& through);
  static clock::time_point ready_at(const stream& state, const flow& through);
  static bool advance(const unique_fd& from, const unique_fd& to, stream& state, flow& through);

  const int server_port_;
  int port_ = 0;
  unique_fd wake_;
  std::mutex mutex_;
  std::vector<std::packaged_task<void()>> commands_;  // guarded by mutex_

  // Only the thread touches these.
  unique_fd listener_;
  bool stopping_ = false, refusing_ = false;
  flow to_server_, to_client_;
  std::list<link> links_;

  std::thread thread_;
};

}  // namespace outboxd::tests
