// What operators ask of the pauses: which there are, begin one, end one. Every call opens a
// connection of its own, blocks, and closes it; any thread.
//
// Failures: unavailable (server away), not_ready (the schema has no pauses: migrate), forbidden (a
// grant is missing), rejected (too many, or the scope is refused).
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "outbox/pause.hpp"

namespace outboxd::outbox {

struct pause_options {
  std::string url;
  std::string schema = "outbox";  // validated (schema.hpp)
  std::string application_name = "outboxd pause";
  // Told, once it is connected, how another thread cuts the call off: it fails then.
  std::function<void(std::function<void()> cut_off)> connected = {};
};

struct pause {
  pause_scope scope;
  std::string reason, by, since;     // since: ISO 8601, UTC
  std::optional<std::string> until;  // likewise; none: until it is ended
};

// Those in force, oldest first.
base::result<std::vector<pause>> list_pauses(const pause_options& options);

// Obeyed by the leader within a second. A pause of the same scope gets the new end and reason.
base::result<void> begin_pause(const pause_options& options, const pause_scope& scope,
                               std::optional<std::chrono::seconds> lasting,
                               const std::string& reason);

// False: there was none of exactly this scope.
base::result<bool> end_pause(const pause_options& options, const pause_scope& scope);

}  // namespace outboxd::outbox
