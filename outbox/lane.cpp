#include "outbox/lane.hpp"

#include <poll.h>
#include <pthread.h>

#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include "base/backoff.hpp"
#include "outbox/conninfo.hpp"
#include "outbox/db_failure.hpp"
#include "outbox/session.hpp"
#include "outbox/wake_fd.hpp"

namespace outboxd::outbox {
namespace {

using clock = std::chrono::steady_clock;

lane_options with_jitter(lane_options options) {
  if (!options.jitter) {
    options.jitter = [random = std::minstd_rand(std::random_device{}())]() mutable {
      return std::uniform_real_distribution<double>(0, 1)(random);
    };
  }
  return options;
}

base::failure stopped() {
  return {base::failure_kind::unavailable, "stopped"};
}

}  // namespace

class lane::impl {
 public:
  impl(boost::asio::any_io_executor executor, lane_options options)
      : executor_(std::move(executor)),
        options_(std::make_shared<const lane_options>(with_jitter(std::move(options)))),
        calls_(std::make_shared<call_watch>(executor_, options_->name, options_->limits)),
        backoff_{options_->backoff_min, options_->backoff_max},
        thread_([this] { run(); }) {}

  ~impl() {
    stop([] {});
    thread_.join();
  }

  void submit(std::string_view operation, std::unique_ptr<lane_job> job) {
    // The executor's run() does not return before every job is answered.
    queued_job entry{
        std::string(operation), std::move(job),
        boost::asio::prefer(executor_, boost::asio::execution::outstanding_work.tracked)};
    {
      const std::lock_guard lock(mutex_);
      if (!stopping_ && queue_.size() < options_->capacity) {
        queue_.push_back(std::move(entry));
        wake_.signal();
        return;
      }
      entry.job->fail(
          stopping_ ? stopped()
                    : base::failure{base::failure_kind::unavailable,
                                    "too many database jobs are waiting (" + options_->name + ")"});
    }
    answer(std::move(entry), {});
  }

  std::optional<db_call> current_call() const { return calls_->current(); }

  void abandon_session() {
    const std::lock_guard lock(mutex_);
    if (socket_) socket_->shut_down();
  }

  void rest(bool on) {
    const std::lock_guard lock(mutex_);
    resting_ = on;
    if (on) wake_.signal();
  }

  void stop(std::function<void()> closed) {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      boost::asio::post(executor_, std::move(closed));
      return;
    }
    on_closed_.push_back(std::move(closed));
    stopping_ = true;
    // An idle session is closed politely by the thread; only a running statement is cut off.
    if (busy_ && socket_) socket_->shut_down();
    wake_.signal();
  }

 private:
  struct queued_job {
    std::string operation;
    std::unique_ptr<lane_job> job;
    boost::asio::any_io_executor executor;
  };

  enum class step { connect, work, wait, rest, finish };

  void run() {
    ::pthread_setname_np(::pthread_self(), options_->name.substr(0, 15).c_str());
    for (;;) {
      switch (next_step()) {
        case step::connect:
          connect();
          break;
        case step::work:
          work();
          break;
        case step::wait:
          wait();
          break;
        case step::rest:
          close_session();
          was_connected_ = false;  // it is not lost
          break;
        case step::finish:
          finish();
          return;
      }
    }
  }

  step next_step() {
    const std::lock_guard lock(mutex_);
    if (stopping_) return step::finish;
    if (queue_.empty()) return resting_ && session_ ? step::rest : step::wait;
    if (session_) return step::work;
    return clock::now() >= connect_at_ ? step::connect : step::wait;
  }

  void connect() {
    calls_->began("connect", nullptr);
    try {
      auto made = std::make_unique<session>(
          complete_conninfo(options_->url(), options_->application_name), options_->settings,
          [this](const auto& socket) { connected(socket); });
      const std::lock_guard lock(mutex_);
      session_ = std::move(made);
      busy_ = false;
    } catch (...) {
      auto caught = describe_current_exception();
      if (calls_->ended()) caught.failure = no_answer("connect");
      {
        const std::lock_guard lock(mutex_);
        busy_ = false;
        socket_.reset();
      }
      connect_at_ = clock::now() + backoff_.after(++failures_, options_->jitter());
      fail_queued(caught.failure);
      return;
    }
    calls_->ended();
    proven_ = false;
    if (was_connected_) raise(options_->on_reconnect);
    was_connected_ = true;
  }

  // The server has let us in; what is left of the connect are statements.
  void connected(const std::shared_ptr<session_socket>& socket) {
    calls_->connected(socket);
    const std::lock_guard lock(mutex_);
    socket_ = socket;
    busy_ = true;
    if (stopping_) socket->shut_down();
  }

  base::failure no_answer(std::string_view operation) const {
    const auto limit = std::chrono::ceil<std::chrono::seconds>(options_->limits.statement);
    return {base::failure_kind::unavailable, "no answer to " + std::string(operation) + " within " +
                                                 std::to_string(limit.count()) +
                                                 " s: the connection was given up"};
  }

  void work() {
    queued_job entry = take_job();
    calls_->began(entry.operation, session_->socket());
    std::optional<base::failure> lost;
    const auto started = clock::now();
    try {
      entry.job->run(*session_);
      calls_->ended();
      proven_ = true;
      failures_ = 0;
    } catch (...) {
      auto caught = describe_current_exception();
      if (calls_->ended()) caught = {no_answer(entry.operation), true};
      if (caught.session_lost) lost = caught.failure;
      entry.job->fail(std::move(caught.failure));
    }
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - started);
    answer(std::move(entry), took);
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
    }
    if (lost) {
      drop_session(*lost);
    } else {
      read_notifications();
    }
  }

  queued_job take_job() {
    const std::lock_guard lock(mutex_);
    queued_job entry = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    return entry;
  }

  // Until there is a job, something to read, or the time to connect has come.
  void wait() {
    std::array<pollfd, 2> fds{{{wake_.descriptor(), POLLIN, 0},
                               {session_ ? session_->socket()->descriptor() : -1, POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), session_ ? -1 : milliseconds_to_connect());
    if (fds[0].revents != 0) wake_.clear();
    if (fds[1].revents != 0) read_notifications();
  }

  int milliseconds_to_connect() {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(connect_at_ - clock::now());
    return std::max(0, static_cast<int>(left.count()));
  }

  void read_notifications() {
    try {
      if (session_->take_notifications() > 0) raise(options_->on_notified);
    } catch (...) {
      drop_session(describe_current_exception().failure);
    }
  }

  void drop_session(const base::failure& why) {
    const bool wanted = close_session();
    // Connect again at once, the server may only have ended this one session; but not in a circle.
    connect_at_ = clock::now();
    if (!proven_) connect_at_ += backoff_.after(++failures_, options_->jitter());
    if (wanted && options_->on_session_lost) {
      boost::asio::post(executor_, [options = options_, why] { options->on_session_lost(why); });
    }
  }

  // False when the lane is stopping.
  bool close_session() {
    std::unique_ptr<session> closing;  // closed outside the lock: it says goodbye to the server
    const std::lock_guard lock(mutex_);
    socket_.reset();
    closing = std::move(session_);
    return !stopping_;
  }

  void fail_queued(const base::failure& why) {
    std::deque<queued_job> failed;
    {
      const std::lock_guard lock(mutex_);
      failed.swap(queue_);
    }
    for (auto& entry : failed) {
      entry.job->fail(why);
      answer(std::move(entry), {});
    }
  }

  void finish() {
    close_session();
    fail_queued(stopped());
    calls_->close();
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (auto& closed : on_closed_) boost::asio::post(executor_, std::move(closed));
    on_closed_.clear();
  }

  // took: nothing when the job did not reach the database.
  void answer(queued_job entry, std::optional<std::chrono::microseconds> took) {
    const auto executor = entry.executor;
    boost::asio::post(executor,
                      [options = options_, calls = calls_, entry = std::move(entry), took] {
                        calls->rest();
                        if (took && options->on_query) options->on_query(entry.operation, *took);
                        entry.job->answer();
                      });
  }

  void raise(const std::function<void()>& event) {
    if (event) boost::asio::post(executor_, event);
  }

  const boost::asio::any_io_executor executor_;
  const std::shared_ptr<const lane_options> options_;
  const std::shared_ptr<call_watch> calls_;
  wake_fd wake_;

  std::mutex mutex_;  // guards what both sides touch:
  std::deque<queued_job> queue_;
  std::shared_ptr<session_socket> socket_;
  std::vector<std::function<void()>> on_closed_;
  bool busy_ = false;
  bool resting_ = false;
  bool stopping_ = false;
  bool closed_ = false;

  // The lane's thread alone.
  std::unique_ptr<session> session_;
  base::backoff backoff_;
  int failures_ = 0;  // since a job succeeded
  clock::time_point connect_at_{};
  bool was_connected_ = false;
  bool proven_ = false;  // a job has succeeded in this session

  std::thread thread_;  // last: starts when everything above is there
};

lane::lane(boost::asio::any_io_executor executor, lane_options options)
    : impl_(std::make_unique<impl>(std::move(executor), std::move(options))) {}

lane::~lane() = default;

void lane::submit(std::string_view operation, std::unique_ptr<lane_job> job) {
  impl_->submit(operation, std::move(job));
}

std::optional<db_call> lane::current_call() const {
  return impl_->current_call();
}

void lane::abandon_session() {
  impl_->abandon_session();
}

void lane::rest(bool on) {
  impl_->rest(on);
}

void lane::stop(std::function<void()> closed) {
  impl_->stop(std::move(closed));
}

}  // namespace outboxd::outbox
