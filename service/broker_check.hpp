// Connects to one node as the relay would, and says goodbye. For `outboxd check`.
#pragma once

#include "base/result.hpp"
#include "relay/amqp/uri.hpp"

namespace outboxd::service {

// Blocks until the handshake has succeeded or failed, at most the node's connection_timeout for
// each step of it.
base::result<void> check_broker(const relay::amqp::endpoint& node);

}  // namespace outboxd::service
