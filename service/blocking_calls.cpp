#include "service/blocking_calls.hpp"

#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <utility>

namespace outboxd::service {

void blocking_call::waits_for(std::function<void()> cut_off) {
  const std::lock_guard lock(mutex_);
  cut_off_ = std::move(cut_off);
  if (abandoned_ && cut_off_) cut_off_();
}

void blocking_call::abandon() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(abandoned_, true) && cut_off_) cut_off_();
}

bool blocking_call::abandoned() const {
  const std::lock_guard lock(mutex_);
  return abandoned_;
}

blocking_calls::blocking_calls(boost::asio::any_io_executor executor, std::size_t capacity)
    : executor_(std::move(executor)), capacity_(capacity) {}

blocking_calls::~blocking_calls() {
  stop();
  if (thread_) thread_->join();
}

std::shared_ptr<blocking_call> blocking_calls::submit(std::function<void(blocking_call&)> work,
                                                      std::function<void()> done) {
  if (stopping_ || calls_.size() >= capacity_) return nullptr;
  if (!thread_) thread_.emplace(1);
  const auto call = std::make_shared<blocking_call>();
  calls_.insert(call);
  // The executor's run() does not return before every call is answered.
  auto answers = boost::asio::prefer(executor_, boost::asio::execution::outstanding_work.tracked);
  boost::asio::post(*thread_, [this, call, work = std::move(work), done = std::move(done),
                               answers = std::move(answers)]() mutable {
    if (!call->abandoned()) work(*call);
    call->waits_for({});
    boost::asio::post(answers, [this, call, done = std::move(done)] {
      calls_.erase(call);
      done();
    });
  });
  return call;
}

void blocking_calls::stop() {
  stopping_ = true;
  for (const auto& call : calls_) call->abandon();
}

}  // namespace outboxd::service
