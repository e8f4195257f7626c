// One thread, one connection, one bounded queue of jobs. A job is a whole statement or transaction
// that returns plain values; it is never retried here. The lane connects when a job needs it, with
// back-off, and throws a connection away at the first sign that it is broken. Any thread may call;
// answers and events are posted to the executor, which must outlive the lane. No statement is
// waited for longer than its limit (call_watch.hpp): the session is given up then. stop() is
// idempotent: queued jobs are answered `unavailable`, a running one is cut off. The destructor
// joins; what bounds it is connect_timeout (per address) when it is just connecting.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"
#include "outbox/call_watch.hpp"

namespace outboxd::outbox {

class session;

struct lane_options {
  std::string name;                  // of the thread: at most 15 bytes
  std::function<std::string()> url;  // asked before each connect, on the lane's thread
  std::string application_name;
  std::vector<std::pair<std::string, std::string>> settings;  // SET, for the whole session
  std::function<double()> jitter;  // [0,1), on the lane's thread; empty: random
  std::chrono::milliseconds backoff_min{100};
  std::chrono::milliseconds backoff_max{5'000};
  std::size_t capacity = 64;  // queued jobs; more are answered `unavailable`
  call_limits limits{};

  // All optional, all on the executor.
  std::function<void(std::string_view operation, std::chrono::microseconds)> on_query;
  std::function<void()> on_reconnect;                         // a session again, after one was lost
  std::function<void(const base::failure&)> on_session_lost;  // not after stop()
  std::function<void()> on_notified;                          // one or more notifications arrived
};

// run() happens on the lane's thread and may throw; fail() instead or afterwards, if it threw; then
// answer() on the executor.
class lane_job {
 public:
  virtual ~lane_job() = default;
  virtual void run(session& db) = 0;
  virtual void fail(base::failure why) = 0;
  virtual void answer() = 0;
};

class lane {
 public:
  lane(boost::asio::any_io_executor executor, lane_options options);
  ~lane();
  lane(const lane&) = delete;
  lane& operator=(const lane&) = delete;

  // operation: for on_query. work: T(session&), on the lane's thread; whatever it throws becomes
  // the failure. done: exactly once, on the executor.
  template <typename T>
  void submit(std::string_view operation, std::function<T(session&)> work,
              std::function<void(base::result<T>)> done) {
    submit(operation, std::make_unique<typed_job<T>>(std::move(work), std::move(done)));
  }
  void submit(std::string_view operation, std::unique_ptr<lane_job> job);

  // What it does now; none when it rests. From any thread.
  std::optional<db_call> current_call() const;

  // Cuts the present session off, whatever it is doing; the next job connects again.
  void abandon_session();

  // On: the session is closed whenever no job waits, until it is off again.
  void rest(bool on);

  // closed: once, on the executor, when the session is closed and the thread is done.
  void stop(std::function<void()> closed = [] {});

 private:
  template <typename T>
  class typed_job final : public lane_job {
   public:
    typed_job(std::function<T(session&)> work, std::function<void(base::result<T>)> done)
        : work_(std::move(work)), done_(std::move(done)) {}
    void run(session& db) override { answer_.emplace(work_(db)); }
    void fail(base::failure why) override { answer_.emplace(std::move(why)); }
    void answer() override { done_(std::move(*answer_)); }

   private:
    std::function<T(session&)> work_;
    std::function<void(base::result<T>)> done_;
    std::optional<base::result<T>> answer_;
  };

  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace outboxd::outbox
