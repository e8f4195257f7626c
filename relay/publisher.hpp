// What the relay asks of the broker: publish this row on that lane, and say what became of it.
// Implemented by amqp::amqp_publisher (RabbitMQ) and scripted_publisher (unit tests). Everything
// happens on one executor; no call blocks, and no event is raised from inside publish().
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "outbox/message.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay {

// A lane is one connection with one confirm channel: a FIFO of which the broker processes a prefix.
using lane_id = std::size_t;

class publisher_events {
 public:
  virtual ~publisher_events() = default;

  // The lane accepts publishes from now on.
  virtual void lane_opened(lane_id lane) = 0;

  // The lane is gone (connection lost, channel closed, confirm timeout). Outcomes of everything
  // that was unconfirmed on it (`unknown`, or a verdict that names the row) follow at once, before
  // it opens again, which it does by itself.
  virtual void lane_closed(lane_id lane, doubt why, int code, const std::string& text) = 0;

  // The broker stopped reading (connection.blocked), or goes on. Publishing on a blocked lane is a
  // bug.
  virtual void lane_blocked(lane_id lane, bool blocked, const std::string& reason) = 0;

  // Every published row gets exactly one outcome. Delivered in batches, one per read from the
  // socket.
  virtual void outcomes(lane_id lane, std::span<const outcome> batch) = 0;
};

class publisher {
 public:
  virtual ~publisher() = default;

  // Lanes 0 … lanes()-1 carry the traffic. One more, number lanes(), is the quarantine: for rows
  // that have failed, for probes of a destination that is held, and for the suspects after the
  // broker closed a channel. Whatever happens there leaves the others alone.
  virtual std::size_t lanes() const = 0;

  // Connects every lane, and again for ever with back-off, until abandon() or stop(). Not again
  // before abandon().
  virtual void start(publisher_events& events) = 0;

  // Resets every connection at once, so that nothing that still waits in one is published later:
  // lane_closed (connection_lost) for each that is open, and `unknown` for what is unconfirmed,
  // from inside the call. Idempotent, legal before start() and after stop().
  virtual void abandon(const std::string& why) = 0;

  // Whether the quarantine is needed: only while it is, it connects, and again whenever it is lost.
  // Not wanted any more, and not again by the time the caller has returned: lane_closed
  // (connection_lost), where it was open, and a graceful close; to be asked for with nothing in
  // flight there. Idempotent, legal before start() and after stop().
  virtual void want_quarantine(bool wanted) = 0;

  // Precondition: the lane is open, not blocked, and the body is loaded. The message must stay
  // alive and unchanged until its outcome.
  virtual void publish(lane_id lane, const outbox::message& row) = 0;

  // Opens the lane's channel anew, so that the broker forgets what it had in mind for this one.
  // Precondition: the lane is open, not blocked, and nothing is unconfirmed on it. It counts as
  // closed from this call on, without an event, until lane_opened.
  virtual void renew(lane_id lane) = 0;

  // Closes gracefully within `limit`, then by reset; what is unconfirmed by then becomes `unknown`.
  // Idempotent, legal before start().
  virtual void stop(std::chrono::milliseconds limit, std::function<void()> done) = 0;
};

}  // namespace outboxd::relay
