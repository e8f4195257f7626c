// One lane of the publisher: which rows are on their way on its connection, in which stage, and
// what became of them. A row waits for its exchange to be known (topology), then for room in the
// output buffer (ready), then for the broker's answer (confirms). Used on one executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "relay/amqp/confirms.hpp"
#include "relay/amqp/connection.hpp"
#include "relay/amqp/link.hpp"
#include "relay/amqp/pausable_clock.hpp"
#include "relay/amqp/topology.hpp"
#include "relay/publisher.hpp"

namespace outboxd::relay::amqp {

struct lane_options {
  link_options link;
  std::chrono::milliseconds confirm_timeout{30'000};
  std::size_t max_message_size = 16u << 20;
};

class lane final : public connection_events, public std::enable_shared_from_this<lane> {
 public:
  lane(lane_id id, const boost::asio::any_io_executor& executor, lane_options options,
       base::logger& log);
  ~lane() override;

  void start(publisher_events& events);
  void publish(const outbox::message& row);
  void renew();
  void stop(std::chrono::milliseconds limit, std::function<void()> done);
  // The lane is closed now, for the owner; the connection closes gracefully within `limit`. After
  // that it raises no event.
  void retire(const std::string& text, std::chrono::milliseconds limit, std::function<void()> done);

 private:
  void opened() override;
  void channel_lost(int code, const std::string& text) override;
  void lost(doubt why, int code, const std::string& text) override;
  void blocked(bool is_blocked, const std::string& reason) override;
  bool acked(delivery_tag tag, bool multiple) override;
  bool nacked(delivery_tag tag, bool multiple) override;
  bool returned(const basic_return& message) override;
  void control_opened() override;
  bool declared() override;
  void control_lost(int code, const std::string& text) override;
  void read_done() override;
  void writable() override;

  void open_lane();
  void follow(topology::steps steps);
  void fill_output();
  void encode(const outbox::message& row, confirms::time_point at);
  void close_lane(doubt why, int code, const std::string& text);
  void deliver();
  void deliver_later();
  void watch_confirms();
  void check_confirms();
  confirms::time_point now() const;
  std::optional<confirms::time_point> oldest() const;

  lane_id id_;
  lane_options options_;
  base::logger& log_;
  publisher_events* events_ = nullptr;
  boost::asio::any_io_executor executor_;

  bool stopping_ = false;
  bool channel_open_ = false;
  bool blocked_ = false;
  bool open_ = false;  // what the owner was told
  topology topology_;
  std::deque<const outbox::message*> ready_;
  confirms confirms_;
  std::vector<outcome> batch_;  // outcomes not yet delivered
  bool delivery_posted_ = false;

  pausable_clock clock_;
  boost::asio::steady_timer confirm_timer_;
  std::shared_ptr<link> link_;
};

}  // namespace outboxd::relay::amqp
