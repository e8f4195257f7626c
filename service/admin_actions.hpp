// Carries out a call of the admin API, on a thread that may block. No clock, no log.
#pragma once

#include <optional>
#include <string>

#include "service/admin_database.hpp"
#include "service/admin_routes.hpp"
#include "service/http_message.hpp"

namespace outboxd::service {

struct admin_outcome {
  http_reply reply;
  std::optional<std::size_t> rows{};  // that were decided about, or would be
  std::string error{};                // empty: done
};

// Not for `status`, which asks no database.
admin_outcome carry_out(const admin_call& call, admin_database& database, blocking_call& waits);

}  // namespace outboxd::service
