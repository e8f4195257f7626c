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

// Above the limit of stop(), which every lane obeys by itself.
constexpr auto last_resort = 1s;
constexpr auto time_to_retire = 2s;
constexpr std::chrono::milliseconds at_once{0};

std::function<double()> seeded_random() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(engine);
  };
}

}  // namespace

class amqp_publisher::impl : public std::enable_shared_from_this<impl> {
 public:
  impl(const asio::any_io_executor& executor, publisher_options opts, base::logger& log)
      : executor_(executor),
        opts_(std::move(opts)),
        log_(log),
        random_(opts_.random ? opts_.random : seeded_random()) {
    make_lanes();
  }

  std::size_t lanes() const { return lanes_.size(); }

  void start(publisher_events& events) {
    assert(events_ == nullptr);
    events_ = &events;
    for (const auto& l : lanes_) l->start(events);
    follow_want();
  }

  void abandon(const std::string& why) {
    if (stopping_ || events_ == nullptr) return;
    events_ = nullptr;
    std::vector<std::shared_ptr<lane>> abandoned = std::exchange(lanes_, {});
    if (quarantine_) abandoned.push_back(std::exchange(quarantine_, nullptr));
    make_lanes();
    for (const auto& l : abandoned) retire(l, why, at_once);
  }

  void want_quarantine(bool wanted) {
    if (stopping_ || std::exchange(quarantine_wanted_, wanted) == wanted) return;
    // The owner is told nothing from inside its own call.
    asio::post(executor_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->follow_want();
    });
  }

  void publish(lane_id id, const outbox::message& row) { at(id).publish(row); }
  void renew(lane_id id) { at(id).renew(); }

  void stop(std::chrono::milliseconds limit, std::function<void()> done) {
    stopping_ = true;
    std::vector<std::shared_ptr<lane>> all_lanes = lanes_;
    all_lanes.insert(all_lanes.end(), retired_.begin(), retired_.end());
    if (quarantine_) all_lanes.push_back(quarantine_);
    auto all = std::make_shared<stopping>(executor_, all_lanes.size(), std::move(done));
    all->overdue.expires_after(limit + last_resort);
    all->overdue.async_wait([all](boost::system::error_code cancelled) {
      if (!cancelled) all->finish();
    });
    for (const auto& l : all_lanes) {
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

  lane& at(lane_id id) {
    assert(id < lanes_.size() || (id == lanes_.size() && quarantine_));
    return id < lanes_.size() ? *lanes_[id] : *quarantine_;
  }

  void make_lanes() {
    for (lane_id id = 0; id < opts_.lanes; ++id)
      lanes_.push_back(make_lane(id, std::to_string(id)));
  }

  std::shared_ptr<lane> make_lane(lane_id id, const std::string& name) const {
    lane_options o;
    o.confirm_timeout = opts_.confirm_timeout;
    o.max_message_size = opts_.max_message_size;
    o.link.nodes = opts_.nodes;
    o.link.reconnect = {opts_.reconnect_min, opts_.reconnect_max};
    o.link.connection.client = {opts_.connection_name + ":" + name, opts_.version};
    o.link.connection.lane = id;
    o.link.connection.random = random_;
    return std::make_shared<lane>(id, executor_, std::move(o), log_);
  }

  void follow_want() {
    if (stopping_ || events_ == nullptr || quarantine_wanted_ == (quarantine_ != nullptr)) return;
    if (quarantine_wanted_) {
      quarantine_ = make_lane(lanes_.size(), "quarantine");
      quarantine_->start(*events_);
    } else {
      // It may be wanted again, by a new lane, before this one has said goodbye to the broker.
      retire(std::exchange(quarantine_, nullptr), "not wanted any more", time_to_retire);
    }
  }

  void retire(const std::shared_ptr<lane>& old, const std::string& why,
              std::chrono::milliseconds limit) {
    retired_.push_back(old);
    old->retire(why, limit, [this, raw = old.get()] {
      std::erase_if(retired_, [raw](const auto& l) { return l.get() == raw; });
    });
  }

  asio::any_io_executor executor_;
  publisher_options opts_;
  base::logger& log_;
  std::function<double()> random_;
  publisher_events* events_ = nullptr;
  bool stopping_ = false;

  std::vector<std::shared_ptr<lane>> lanes_;
  bool quarantine_wanted_ = false;
  std::shared_ptr<lane> quarantine_;
  std::vector<std::shared_ptr<lane>> retired_;  // closing
};

amqp_publisher::amqp_publisher(const asio::any_io_executor& executor, const publisher_options& opts,
                               base::logger& log)
    : impl_(std::make_shared<impl>(executor, opts, log)) {}

amqp_publisher::~amqp_publisher() = default;

std::size_t amqp_publisher::lanes() const {
  return impl_->lanes();
}

void amqp_publisher::start(publisher_events& events) {
  impl_->start(events);
}

void amqp_publisher::abandon(const std::string& why) {
  impl_->abandon(why);
}

void amqp_publisher::want_quarantine(bool wanted) {
  impl_->want_quarantine(wanted);
}

void amqp_publisher::publish(lane_id lane, const outbox::message& row) {
  impl_->publish(lane, row);
}

void amqp_publisher::renew(lane_id lane) {
  impl_->renew(lane);
}

void amqp_publisher::stop(std::chrono::milliseconds limit, std::function<void()> done) {
  impl_->stop(limit, std::move(done));
}

}  // namespace outboxd::relay::amqp
