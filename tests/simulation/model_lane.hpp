// A lane as in relay/amqp/lane.hpp, over a connection to the model broker: the real bookkeeping
// (confirms, topology), no bytes. Every outcome is compared with what the broker has really said.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "relay/amqp/confirms.hpp"
#include "relay/amqp/pausable_clock.hpp"
#include "relay/amqp/topology.hpp"
#include "relay/publisher.hpp"
#include "tests/simulation/model_broker.hpp"

namespace outboxd::simulation {

class model_lane {
 public:
  model_lane(relay::lane_id id, model_broker& broker, checker& checker, luck& luck,
             const clock& clock, std::chrono::milliseconds confirm_timeout)
      : id_(id),
        broker_(broker),
        checker_(checker),
        luck_(luck),
        clock_(clock),
        confirm_timeout_(confirm_timeout) {}

  void connect(relay::publisher_events& events);
  void publish(const outbox::message& row);
  void renew();
  // Frames arrive, or the confirm timeout passes.
  void step(relay::publisher_events& events);
  // The connection is lost; the broker may have noticed or not.
  void cut(relay::publisher_events& events, goodbye how);
  void server_closes(int code);
  // The process is gone, and nobody is told.
  void vanish(goodbye how);

  bool connected() const { return connection_.has_value(); }
  bool open() const { return open_; }
  bool blocked() const { return blocked_; }
  bool idle() const { return in_flight_.empty(); }
  // Published and not answered, on this incarnation of the channel.
  bool has(const row_ref& ref) const { return in_flight_.contains(ref); }
  const auto& in_flight() const { return in_flight_; }

 private:
  using topology = relay::amqp::topology;

  // What the broker has said of a publish.
  struct fact {
    bool returned = false;
    std::optional<bool> acked;
  };

  void obey(const frame& f, relay::publisher_events& events);
  void settle(const frame& f);
  void learn(tag t, bool acked);
  void follow(topology::steps steps);
  void close(relay::publisher_events& events, relay::doubt why, int code, const std::string& text);
  void lose(relay::publisher_events& events, relay::doubt why, int code, const std::string& text,
            goodbye how);
  void deliver(relay::publisher_events& events);
  void check(const relay::outcome& o);
  time_point now() const { return pausable_.at(clock_.now); }

  relay::lane_id id_;
  model_broker& broker_;
  checker& checker_;
  luck& luck_;
  const clock& clock_;
  std::chrono::milliseconds confirm_timeout_;

  std::optional<model_broker::connection_id> connection_;
  bool control_open_ = false;
  bool channel_open_ = false;
  bool open_ = false;
  bool blocked_ = false;
  topology topology_;
  relay::amqp::confirms confirms_;
  relay::amqp::pausable_clock pausable_;
  std::vector<relay::outcome> batch_;

  std::map<row_ref, fact> in_flight_;
  std::map<tag, row_ref> tags_;  // open ones
  tag next_tag_ = 1;
};

}  // namespace outboxd::simulation
