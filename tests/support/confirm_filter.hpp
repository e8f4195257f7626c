// An AMQP proxy on 127.0.0.1 before a real broker that lets everything through but the confirms of
// one routing key: to a publisher a queue behind that key looks as if it had lost its quorum, while
// all others go on. A confirm for several tags is split. Callable from any thread; the destructor
// cuts what is open.
#pragma once

#include "tests/support/unique_fd.hpp"

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace outboxd::tests {

class confirm_filter {
 public:
  explicit confirm_filter(int broker_port);
  ~confirm_filter();

  confirm_filter(const confirm_filter&) = delete;
  confirm_filter& operator=(const confirm_filter&) = delete;

  int port() const { return port_; }

  // Of messages published from now on with this routing key.
  void swallow(const std::string& routing_key);
  // Nothing is swallowed any more; what was, is confirmed now, where its connection is still open.
  void heal();

  // Publishes so far whose confirm was to be swallowed.
  std::size_t swallowed();

 private:
  class link;

  void accept_all();

  const int broker_port_;
  int port_ = 0;
  unique_fd listener_;
  std::mutex mutex_;
  std::string routing_key_;                 // guarded by mutex_, empty: none
  std::size_t swallowed_ = 0;               // guarded by mutex_
  std::list<std::unique_ptr<link>> links_;  // guarded by mutex_
  std::thread acceptor_;
};

}  // namespace outboxd::tests
