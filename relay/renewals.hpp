// Which channels are to be opened anew, because what refuses may be the channel and not the
// destination.
//
// A channel of RabbitMQ 3.10 whose first publish to a quorum queue comes while the node of the
// queue's leader has just gone gets a nack for it, and for everything it sends there afterwards,
// until that node is back; a new channel is served at once (rabbit_fifo_client:enqueue/3, and
// docs/adr/0017-a-nack-may-be-the-channels.md). So a row that has failed asks again over a channel
// that has not nacked, and when it is taken, channels that have nacked are not believed any more.
// Pure; owned by the relay core.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "relay/row.hpp"

namespace outboxd::relay {

class renewals {
 public:
  // lanes: with the quarantine.
  explicit renewals(std::size_t lanes) : lanes_(lanes) {}

  void opened(lane_id lane) {
    lanes_.at(lane).has_nacked = false;
    lanes_.at(lane).asked_at.reset();
  }
  // apart: the row has failed before, or is a probe.
  void nacked(lane_id lane, bool apart, time_point now) {
    channel& c = lanes_.at(lane);
    c.has_nacked = true;
    if (apart) ask(c, now);
  }
  // A row that has failed before, or a probe, was confirmed.
  void confirmed_apart(time_point now) {
    for (channel& c : lanes_) {
      const bool lately = c.renewed_at && now - *c.renewed_at < between;
      if (c.has_nacked && !lately) ask(c, now);
    }
  }
  void begun(lane_id lane, time_point now) {
    opened(lane);
    lanes_.at(lane).renewed_at = now;
  }

  bool any() const {
    return std::any_of(lanes_.begin(), lanes_.end(),
                       [](const channel& c) { return c.asked_at.has_value(); });
  }
  // It is to be opened anew, and takes no row until then. Not for long: what is in flight there may
  // never be answered.
  bool wanted(lane_id lane, time_point now) {
    channel& c = lanes_.at(lane);
    if (c.asked_at && now - *c.asked_at >= patience) c.asked_at.reset();
    return c.asked_at.has_value();
  }
  // When one is given up that is wanted now.
  std::optional<time_point> next() const {
    std::optional<time_point> soonest;
    for (const channel& c : lanes_)
      if (c.asked_at && (!soonest || *c.asked_at + patience < *soonest))
        soonest = *c.asked_at + patience;
    return soonest;
  }

  static constexpr std::chrono::milliseconds patience{1'000};
  // A queue that is full nacks, takes one and nacks again: that must not cost the others a channel
  // each time.
  static constexpr std::chrono::milliseconds between{5'000};

 private:
  struct channel {
    bool has_nacked = false;
    std::optional<time_point> asked_at, renewed_at;
  };

  static void ask(channel& c, time_point now) {
    if (!c.asked_at) c.asked_at = now;
  }

  std::vector<channel> lanes_;
};

}  // namespace outboxd::relay
