// The admin API's requests as values: method, path, query and body go in, what is asked comes out.
// Runs nothing. docs/reference/admin-api.yaml describes the same routes; a test compares them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "outbox/dead_rows.hpp"
#include "outbox/pause.hpp"
#include "service/http_message.hpp"

namespace outboxd::service {

enum class admin_action {
  status,
  list_dead,
  show_dead,
  retry,
  discard,
  list_pauses,
  pause,
  resume
};

// Those that change something or show a body: they are logged.
bool is_audited(admin_action what);
std::string_view to_string(admin_action what);  // "retry"

struct admin_call {
  admin_action what = admin_action::status;
  outbox::dead_row_filter which;
  std::int64_t after = 0;
  std::size_t limit = 100;
  bool dry_run = false;
  outbox::pause_scope scope;
  std::optional<std::chrono::seconds> lasting;  // of a pause; none: until it is ended
  std::string reason;
};

struct admin_route {
  std::string_view method;
  std::string_view path;  // "/admin/v1/dead/{id}": {id} is a number
  admin_action what;
};

std::span<const admin_route> admin_routes();

// A call, or why there is none.
std::variant<admin_call, http_reply> to_call(const http_request& request);

}  // namespace outboxd::service
