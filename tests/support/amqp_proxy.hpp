// An AMQP proxy on 127.0.0.1 before a real broker, whose user sees every frame and says what goes
// on in its place. A thread for each direction of each connection, so that nothing waits for
// anything else. Callable from any thread; the destructor cuts what is open.
#pragma once

#include "tests/support/amqp_frames.hpp"
#include "tests/support/unique_fd.hpp"

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace outboxd::tests {

class amqp_proxy {
 public:
  // One connection. Each function has a thread of its own.
  class conversation {
   public:
    virtual ~conversation() = default;
    // Append to out what is to be passed on: f.all, as it is.
    virtual void to_broker(const amqp_frame& f, std::string& out) = 0;
    virtual void to_client(const amqp_frame& f, std::string& out) = 0;
  };

  // begin: called for each connection, by the thread that accepts.
  amqp_proxy(int broker_port, std::function<std::unique_ptr<conversation>()> begin);
  ~amqp_proxy();

  amqp_proxy(const amqp_proxy&) = delete;
  amqp_proxy& operator=(const amqp_proxy&) = delete;

  int port() const { return port_; }

  // Every client gets what this says; nothing, where its connection has ended.
  void tell_clients(const std::function<std::string(conversation&)>& what);

 private:
  class link;

  void accept_all();

  const int broker_port_;
  const std::function<std::unique_ptr<conversation>()> begin_;
  int port_ = 0;
  unique_fd listener_;
  std::mutex mutex_;
  std::list<std::unique_ptr<link>> links_;  // guarded by mutex_
  std::thread acceptor_;
};

}  // namespace outboxd::tests
