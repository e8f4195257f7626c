// Asks the process that runs here how it is. For `outboxd healthcheck`, which images without a
// shell use.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

// The loopback address by which a listener is reached from its own host.
std::string loopback_of(const std::string& listen_host);

// GETs `target`, blocking, within `limit`. Answers with the body; a status other than 200 is a
// failure that carries the body.
base::result<std::string> probe(const listen_address& where, std::string_view target,
                                std::chrono::milliseconds limit, std::string_view accept = "*/*");

}  // namespace outboxd::service
