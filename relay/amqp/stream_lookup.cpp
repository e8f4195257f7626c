#include "relay/amqp/stream_lookup.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace outboxd::relay::amqp {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

struct answer {
  error_code error = asio::error::operation_aborted;
  name_lookup::addresses found;
};

asio::ip::tcp::endpoint endpoint_of(const addrinfo& info) {
  asio::ip::tcp::endpoint e;
  e.resize(info.ai_addrlen);
  std::memcpy(e.data(), info.ai_addr, info.ai_addrlen);
  return e;
}

answer look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed == EAI_SYSTEM) return {{errno, boost::system::system_category()}, {}};
  if (failed != 0) return {{failed, asio::error::get_addrinfo_category()}, {}};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
  answer a{{}, {}};
  for (const addrinfo* i = list; i != nullptr; i = i->ai_next) a.found.push_back(endpoint_of(*i));
  return a;
}

}  // namespace

struct name_lookup::question {
  std::mutex mutex;
  name_lookup* asker;  // null: nobody listens any more
  answer got;
};

name_lookup::name_lookup(const asio::any_io_executor& executor)
    : answered_(executor, asio::steady_timer::time_point::max()),
      question_(std::make_shared<question>()) {
  question_->asker = this;
}

name_lookup::~name_lookup() {
  give_up();
}

asio::awaitable<name_lookup::addresses> name_lookup::run(std::string host, std::uint16_t port,
                                                         error_code& error) {
  const auto wake = [](const std::shared_ptr<question>& q) {
    const std::lock_guard lock(q->mutex);
    if (q->asker != nullptr) q->asker->answered_.cancel();
  };
  auto ask = [q = question_, host = std::move(host), port, executor = answered_.get_executor(),
              wake] {
    answer a = look_up(host, port);
    // Under the lock: who gives up may destroy the executor next.
    const std::lock_guard lock(q->mutex);
    q->got = std::move(a);
    if (q->asker != nullptr) asio::post(executor, [q, wake] { wake(q); });
  };
  try {
    std::thread(std::move(ask)).detach();
  } catch (const std::system_error& no_thread) {
    error = no_thread.code();
    co_return addresses{};
  }
  error_code woken;
  co_await answered_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  const std::lock_guard lock(question_->mutex);
  error = question_->got.error;
  co_return std::move(question_->got.found);
}

void name_lookup::give_up() {
  {
    const std::lock_guard lock(question_->mutex);
    question_->asker = nullptr;
  }
  answered_.cancel();
}

}  // namespace outboxd::relay::amqp
