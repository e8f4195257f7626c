// The query parameters of an AMQP URI. Internal to uri.cpp.
#pragma once

#include <boost/url/params_encoded_view.hpp>

#include <optional>
#include <string>

#include "relay/amqp/uri.hpp"

namespace outboxd::relay::amqp {

// Applies every parameter to the endpoint, whose tls and host are known already. Returns what is
// wrong.
std::optional<std::string> apply_parameters(endpoint& node, boost::urls::params_encoded_view query);

}  // namespace outboxd::relay::amqp
