// What the relay tells the metrics. Called on the io thread, many times a second: must be cheap and
// must not throw.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "relay/verdict.hpp"

namespace outboxd::relay {

class observer {
 public:
  virtual ~observer() = default;

  virtual void published(std::size_t body_bytes) = 0;
  // since_created: database clock, commit lag included; none: it had been sent before, and was
  // replayed. since_publish: written to the lane until the ack.
  virtual void confirmed(std::optional<std::chrono::microseconds> since_created,
                         std::chrono::microseconds since_publish) = 0;
  virtual void failed(verdict what) = 0;    // every verdict but confirmed and unknown
  virtual void unknown(doubt why) = 0;      // will be sent again
  virtual void died(verdict why) = 0;       // the row was marked dead
  virtual void read(std::size_t rows) = 0;  // one statement that looked for rows
  virtual void notified() = 0;              // a notification arrived
  virtual void lead_changed(bool leading) = 0;
  virtual void broker_reconnected() = 0;  // a lane opened again after it was lost
  virtual void broker_channel_error(int code) = 0;
  virtual void broker_blocked_for(std::chrono::microseconds duration) = 0;
  virtual void purged(std::size_t rows) = 0;
};

}  // namespace outboxd::relay
