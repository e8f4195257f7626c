#include "relay/amqp/link.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cassert>
#include <exception>
#include <utility>

namespace outboxd::relay::amqp {
namespace {

namespace asio = boost::asio;
void shuffle(std::vector<endpoint>& nodes, const std::function<double()>& random) {
  for (std::size_t i = nodes.size(); i > 1; --i) {
    const auto other = static_cast<std::size_t>(random() * static_cast<double>(i));
    std::swap(nodes[i - 1], nodes[other]);
  }
}

}  // namespace

link::link(const asio::any_io_executor& executor, link_options options, base::logger& log,
           connection_events& events)
    : executor_(executor),
      options_(std::move(options)),
      log_(log),
      events_(events),
      retry_(executor) {}

void link::start() {
  assert(!started_);
  if (stopping_) return;
  started_ = running_ = true;
  asio::co_spawn(executor_, run(), [self = shared_from_this()](const std::exception_ptr& failed) {
    if (failed) std::rethrow_exception(failed);
    self->finished();
  });
}

void link::stop(std::chrono::milliseconds limit, std::function<void()> done) {
  stopping_ = true;
  stopped_.push_back(std::move(done));
  retry_.cancel();
  if (current_) current_->close(limit);
  if (!running_) asio::post(executor_, [self = shared_from_this()] { self->finished(); });
}

void link::detach() {
  stopping_ = true;
  stopped_.clear();
  retry_.cancel();
  if (current_) current_->detach();
}

asio::awaitable<void> link::run() {
  const auto self = shared_from_this();
  while (!stopping_) {
    co_await try_nodes();
    if (stopping_) co_return;
    ++rounds_failed_;
    retry_.expires_after(options_.reconnect.after(rounds_failed_, options_.connection.random()));
    boost::system::error_code cancelled;
    co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }
}

// One round. Returns when every node has failed, or when a connection that was open has ended.
asio::awaitable<void> link::try_nodes() {
  auto nodes = options_.nodes();
  if (nodes.has_error()) {
    failed("", nodes.error().text);
    co_return;
  }
  shuffle(*nodes, options_.connection.random);
  for (const endpoint& node : *nodes) {
    current_ = std::make_shared<connection>(executor_, node, options_.connection, log_, events_);
    const auto began = std::chrono::steady_clock::now();
    const connection::ending ending = co_await current_->run();
    current_.reset();
    if (stopping_) co_return;
    if (ending.was_open) {
      // Else a broker that greets and hangs up would be greeted again and again.
      const auto lasted = std::chrono::steady_clock::now() - began;
      if (ending.was_of_use || lasted >= options_.reconnect.max) rounds_failed_ = 0;
      co_return;
    }
    failed(node.redacted(), ending.text);
  }
}

void link::finished() {
  running_ = false;
  for (auto& done : std::exchange(stopped_, {})) done();
}

void link::failed(std::string_view node, std::string_view text) {
  log_.warn("amqp.connect_failed",
            {{"lane", options_.connection.lane}, {"node", node}, {"error", text}});
}

}  // namespace outboxd::relay::amqp
