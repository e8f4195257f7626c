// An AMQP proxy on 127.0.0.1 before a real broker that lets everything through but the confirms of
// one routing key: to a publisher a queue behind that key looks as if it had lost its quorum, while
// all others go on. A confirm for several tags is split. Callable from any thread; the destructor
// cuts what is open.
#pragma once

#include "tests/support/amqp_proxy.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace outboxd::tests {

class confirm_filter {
 public:
  explicit confirm_filter(int broker_port);

  int port() const { return proxy_.port(); }

  // Of messages published from now on with this routing key.
  void swallow(const std::string& routing_key);
  // Nothing is swallowed any more; what was, is confirmed now, where its connection is still open.
  void heal();

  // Publishes so far whose confirm was to be swallowed.
  std::size_t swallowed();

 private:
  class conversation;

  bool swallows(std::string_view routing_key);

  std::mutex mutex_;
  std::string routing_key_;    // guarded by mutex_, empty: none
  std::size_t swallowed_ = 0;  // guarded by mutex_
  amqp_proxy proxy_;           // last: its threads use what is above
};

}  // namespace outboxd::tests
