// The client's own deadline on the statements of one lane: a server that went silent while its
// kernel still acknowledges what we send (a stopped backend, a proxy that stalls) is not noticed by
// keepalives, and its statement_timeout does not fire. The lane's thread says what it does, from
// any thread others may ask; the timer runs on the executor, only while there is a call, and shuts
// the socket down, which wakes the thread. Lives as long as its handlers. close() is idempotent.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "outbox/db_call.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {

struct call_limits {
  // Of one statement. Above the session's statement_timeout, which ends a statement only, not the
  // session.
  std::chrono::milliseconds statement{35'000};
  // Of a connect, which libpq itself bounds by connect_timeout for each address. Nothing can end
  // one from outside, so this only says when it counts as stuck: beyond any list of hosts.
  std::chrono::milliseconds connect{600'000};
  // What a thread gets to come back after it was cut off, before it counts as stuck.
  std::chrono::milliseconds margin{30'000};
};

class call_watch : public std::enable_shared_from_this<call_watch> {
 public:
  call_watch(boost::asio::any_io_executor executor, std::string lane, call_limits limits);

  // The lane's thread: a job, or a connect, whose socket is told once there is one. ended() answers
  // whether it was cut off.
  void began(std::string_view operation, std::shared_ptr<session_socket> socket);
  void connected(std::shared_ptr<session_socket> socket);
  bool ended();

  // The executor's thread: no timer is needed if nothing has begun since.
  void rest();

  void close();

  std::optional<db_call> current() const;

 private:
  using clock = std::chrono::steady_clock;

  struct call {
    std::string operation;
    clock::time_point since;
    std::shared_ptr<session_socket> socket;  // none: it connects
    std::optional<clock::time_point> cut_at;
  };

  void look();
  std::optional<clock::time_point> next_look();

  const std::string lane_;
  const call_limits limits_;
  const boost::asio::any_io_executor executor_;
  boost::asio::steady_timer timer_;  // the executor's thread alone

  mutable std::mutex mutex_;  // guards the rest
  std::optional<call> call_;
  bool armed_ = false;
  bool closed_ = false;
};

}  // namespace outboxd::outbox
