// What `outboxd check` says about the database. Opens a connection of its own, blocks, closes it;
// any thread.
#pragma once

#include <string>
#include <vector>

namespace outboxd::outbox {

enum class check_state { ok, warn, fail };

struct check_line {
  std::string name;  // "database", "schema", "grants"
  check_state state = check_state::ok;
  std::string detail;  // one line; what to do where something is wrong
};

struct check_options {
  std::string url;                // a libpq URI or key/value string
  std::string schema = "outbox";  // validated (schema.hpp)
  std::string application_name = "outboxd check";
};

// Stops at the first failure that makes the following checks meaningless.
std::vector<check_line> check_database(const check_options& options);

}  // namespace outboxd::outbox
