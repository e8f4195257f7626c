// Who may use the admin API. Pure.
#pragma once

#include <optional>
#include <string>

#include "service/http_message.hpp"

namespace outboxd::service {

// Why not; nothing when it may be answered. With a token: who knows it. Without (loopback only):
// programs of this host, but no page of another site that a browser of this host shows, be it by a
// request across origins or by a name that was made to lead here (DNS rebinding).
std::optional<http_reply> refuse_stranger(const http_request& request,
                                          const std::optional<std::string>& token);

// In a time that says nothing about the two but whether they are the same.
bool same_secret(std::string_view a, std::string_view b);

}  // namespace outboxd::service
