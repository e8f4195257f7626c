#include "outbox/call_watch.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace outboxd::outbox {

call_watch::call_watch(boost::asio::any_io_executor executor, std::string lane, call_limits limits)
    : lane_(std::move(lane)), limits_(limits), executor_(std::move(executor)), timer_(executor_) {}

void call_watch::began(std::string_view operation, std::shared_ptr<session_socket> socket) {
  const std::lock_guard lock(mutex_);
  call_ = call{std::string(operation), clock::now(), std::move(socket), {}};
  if (closed_ || std::exchange(armed_, true)) return;
  boost::asio::post(executor_, [self = shared_from_this()] { self->look(); });
}

void call_watch::connected(std::shared_ptr<session_socket> socket) {
  const std::lock_guard lock(mutex_);
  call_->socket = std::move(socket);
  if (closed_) return;
  // What follows is a statement, whose deadline comes earlier than that of the connect.
  boost::asio::post(executor_, [self = shared_from_this()] { self->look(); });
}

bool call_watch::ended() {
  const std::lock_guard lock(mutex_);
  const bool was_cut = call_->cut_at.has_value();
  call_.reset();
  return was_cut;
}

void call_watch::rest() {
  const std::lock_guard lock(mutex_);
  if (call_ || !std::exchange(armed_, false)) return;
  timer_.cancel();
}

void call_watch::close() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
  }
  boost::asio::post(executor_, [self = shared_from_this()] { self->timer_.cancel(); });
}

std::optional<db_call> call_watch::current() const {
  const std::lock_guard lock(mutex_);
  if (!call_) return std::nullopt;
  const auto now = clock::now();
  return db_call{lane_, call_->operation,
                 std::chrono::duration_cast<std::chrono::milliseconds>(now - call_->since),
                 call_->cut_at && now - *call_->cut_at >= limits_.margin};
}

void call_watch::look() {
  const std::lock_guard lock(mutex_);
  const auto next = next_look();
  armed_ = next.has_value();
  if (!next) return;
  timer_.expires_at(*next);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& cancelled) {
    if (!cancelled) self->look();
  });
}

// Cuts the call off when its time has come. None: nothing to look at any more.
std::optional<call_watch::clock::time_point> call_watch::next_look() {
  if (closed_ || !call_ || call_->cut_at) return std::nullopt;
  const auto now = clock::now();
  auto deadline = call_->since + limits_.connect;
  if (call_->socket) {
    // Between two statements of a job there is nothing to wait for.
    deadline = call_->socket->waiting_since().value_or(now) + limits_.statement;
  }
  if (now < deadline) return deadline;
  call_->cut_at = now;
  if (call_->socket) call_->socket->shut_down();
  return std::nullopt;
}

}  // namespace outboxd::outbox
