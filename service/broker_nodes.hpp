// The broker's nodes as the settings describe them.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "relay/amqp/uri.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

// Reads the secrets anew. The failure names the variable and never quotes a password.
base::result<std::vector<relay::amqp::endpoint>> broker_nodes(const settings& s);

}  // namespace outboxd::service
