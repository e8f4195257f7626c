#include "relay/amqp/amqp_publisher.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cassert>
#include <random>
#include <utility>

#include "relay/amqp/lane.hpp"

namespace outboxd::relay::amqp {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Above the limit of stop(): a name look-up that hangs cannot be ended.
constexpr auto patience_with_resolver = 1s;

std::function<double()> seeded_random() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(engine);
  };
}

}  // namespace

class amqp_publisher::impl {
 public:
  impl(const asio::any_io_executor& executor, const publisher_options& opts, base::logger& log)
      : executor_(executor) {
    const auto random = opts.random ? opts.random : seeded_random();
    for (lane_id id = 0; id < opts.lanes; ++id) {
      lane_options o;
      o.confirm_timeout = opts.confirm_timeout;
      o.max_message_size = opts.max_message_size;
      o.link.nodes = opts.nodes;
      o.link.reconnect = o.link.connection.reopen = {opts.reconnect_min, opts.reconnect_max};
      o.link.connection.client = {opts.connection_name + ":" + std::to_string(id), opts.version};
      o.link.connection.lane = id;
      o.link.connection.random = random;
      lanes_.push_back(std::make_shared<lane>(id, executor, std::move(o), log));
    }
  }

  std::size_t lanes() const { return lanes_.size(); }

  void start(publisher_events& events) {
    for (const auto& l : lanes_) l->start(events);
  }

  void publish(lane_id id, const outbox::message& row) {
    assert(id < lanes_.size());
    lanes_[id]->publish(row);
  }

  void stop(std::chrono::milliseconds limit, std::function<void()> done) {
    auto all = std::make_shared<stopping>(executor_, lanes_.size(), std::move(done));
    all->overdue.expires_after(limit + patience_with_resolver);
    all->overdue.async_wait([all](boost::system::error_code cancelled) {
      if (!cancelled) all->finish();
    });
    for (const auto& l : lanes_) {
      l->stop(limit, [all] {
        if (--all->lanes_left == 0) all->finish();
      });
    }
  }

 private:
  // One call of stop(): over when every lane is, or when the time is.
  struct stopping {
    stopping(const asio::any_io_executor& executor, std::size_t lanes, std::function<void()> f)
        : lanes_left(lanes), done(std::move(f)), overdue(executor) {}

    void finish() {
      overdue.cancel();
      if (const auto f = std::exchange(done, nullptr)) f();
    }

    std::size_t lanes_left;
    std::function<void()> done;
    asio::steady_timer overdue;
  };

  asio::any_io_executor executor_;
  std::vector<std::shared_ptr<lane>> lanes_;
};

amqp_publisher::amqp_publisher(const asio::any_io_executor& executor, const publisher_options& opts,
                               base::logger& log)
    : impl_(std::make_unique<impl>(executor, opts, log)) {}

amqp_publisher::~amqp_publisher() = default;

std::size_t amqp_publisher::lanes() const {
  return impl_->lanes();
}

void amqp_publisher::start(publisher_events& events) {
  impl_->start(events);
}

void amqp_publisher::publish(lane_id lane, const outbox::message& row) {
  impl_->publish(lane, row);
}

void amqp_publisher::stop(std::chrono::milliseconds limit, std::function<void()> done) {
  impl_->stop(limit, std::move(done));
}

}  // namespace outboxd::relay::amqp
