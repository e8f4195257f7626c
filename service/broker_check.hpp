// Connects to one node as the relay would, publishes two messages, and says goodbye. For `outboxd
// check`.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "outbox/pg_check.hpp"
#include "relay/amqp/uri.hpp"

namespace outboxd::service {

// What became of one of the two.
struct broker_trial {
  outbox::check_state state = outbox::check_state::fail;
  std::string text;  // one line
};

struct broker_answer {
  // Persistent and mandatory, to a queue that exists for as long as the connection: confirmed, and
  // not returned?
  broker_trial routed;
  // To a queue that does not exist: returned, and before its ack?
  broker_trial unroutable;
};

// Blocks until the handshake has succeeded or failed, at most the node's connection_timeout for
// each step of it, and then until there is an answer to both, at most `limit`.
base::result<broker_answer> check_broker(
    const relay::amqp::endpoint& node, std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace outboxd::service
