// A TCP proxy on 127.0.0.1 between a client and a server, in a thread of its own, that misbehaves
// on command. A command has been carried out when its call returns. Bytes are forwarded in order
// and unchanged; those of a stalled direction wait in the kernel until it flows again or the
// connection ends. Callable from any thread; the destructor resets what is open.
#pragma once

#include "tests/support/unique_fd.hpp"

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <list>
#include <mutex>
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

  // Everything flows (the state at the start): undoes refuse() and stall().
  void pass();
  // New connections are refused, as if nobody listened. Open ones are not touched.
  void refuse();
  // The direction stops, on open connections and on new ones.
  void stall(direction which);
  // Open connections end, for both sides in order (FIN) or by a reset (RST).
  void cut();
  void reset();

  // Open connections, and the bytes that went through so far, all connections together.
  std::size_t connections();
  std::uint64_t forwarded(direction which);

 private:
  // One direction of a connection.
  struct stream {
    std::vector<char> pending = {};  // read, not yet written
    bool ended = false;              // the sender's FIN has been passed on
  };
  struct link {
    unique_fd client, server;
    stream to_server = {}, to_client = {};
    bool cut = false;  // both have got a FIN; what they still send is thrown away
  };
  struct flow {
    bool stalled = false;
    std::uint64_t bytes = 0;
  };

  void command(std::function<void()> what);
  void run();
  std::vector<pollfd> awaited() const;
  void obey();
  void accept_one();
  bool serve(link& on);

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
