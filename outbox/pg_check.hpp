// What `outboxd check` says about the database. Opens connections of its own, blocks, closes them;
// any thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace outboxd::outbox {

enum class check_state { ok, warn, fail };

struct check_line {
  std::string name;  // "database", "pooler", "grant SELECT on messages", "schema", …
  check_state state = check_state::ok;
  std::string detail;  // one line; what to do where something is wrong
  base::failure_kind kind = base::failure_kind::not_ready;  // of a failure
};

struct check_options {
  std::string url;                // a libpq URI or key/value string
  std::string schema = "outbox";  // validated (schema.hpp)
  std::string application_name = "outboxd check";
  std::chrono::milliseconds old_transaction{60'000};  // is named when it keeps rows from vacuum
};

// Stops at the first failure that makes the following checks meaningless.
std::vector<check_line> check_database(const check_options& options);

}  // namespace outboxd::outbox
