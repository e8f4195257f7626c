// The publisher seam over RabbitMQ: one link (connection) per lane, each with a confirm channel and
// a control channel for passive declares, and one more while the quarantine is wanted. Runs on one
// executor; no lock, no thread of its own.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "relay/amqp/uri.hpp"
#include "relay/publisher.hpp"

namespace outboxd::relay::amqp {

struct publisher_options {
  // Called before every round of attempts, so that rotated secrets are used; a failure is logged
  // and tried again.
  std::function<base::result<std::vector<endpoint>>()> nodes;
  std::size_t lanes = 2;
  std::string connection_name;  // "outboxd:<instance>"; ":<lane>" or ":quarantine" is appended
  std::string version;          // for the client properties
  std::chrono::milliseconds confirm_timeout{30'000};  // not counted while blocked
  std::chrono::milliseconds reconnect_min{200};
  std::chrono::milliseconds reconnect_max{5'000};
  std::size_t max_message_size = 16u << 20;
  // In [0,1), for jitter and the order of nodes; by default an engine seeded by the system.
  std::function<double()> random;
};

class amqp_publisher final : public publisher {
 public:
  amqp_publisher(const boost::asio::any_io_executor& executor, const publisher_options& opts,
                 base::logger& log);
  ~amqp_publisher() override;

  std::size_t lanes() const override;
  void start(publisher_events& events) override;
  void abandon(const std::string& why) override;
  void want_quarantine(bool wanted) override;
  void publish(lane_id lane, const outbox::message& row) override;
  void renew(lane_id lane) override;
  void stop(std::chrono::milliseconds limit, std::function<void()> done) override;

 private:
  class impl;
  std::shared_ptr<impl> impl_;
};

}  // namespace outboxd::relay::amqp
