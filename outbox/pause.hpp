// What operators have stopped: everything, one exchange, or one ordering key. Kept in
// outbox.pauses, and obeyed by whoever leads.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace outboxd::outbox {

// Neither: everything. Never both.
struct pause_scope {
  std::optional<std::string> exchange, ordering_key;
  friend bool operator==(const pause_scope&, const pause_scope&) = default;
};

// "exchange orders", "key user 7", "everything"
inline std::string name_of(const pause_scope& scope) {
  if (scope.exchange)
    return scope.exchange->empty() ? "the default exchange" : "exchange " + *scope.exchange;
  return scope.ordering_key ? "key " + *scope.ordering_key : "everything";
}

struct pause_in_force {
  pause_scope scope;
  std::string reason, by;  // by: the login that asked for it
  std::chrono::milliseconds age{0};
  std::optional<std::chrono::milliseconds>
      ends_in;  // by the database's clock; none: resume ends it
  friend bool operator==(const pause_in_force&, const pause_in_force&) = default;
};

}  // namespace outboxd::outbox
