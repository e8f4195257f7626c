// Applies the SQL files of migrations/ to a database, once each. Every call opens a connection of
// its own, blocks, and closes it; any thread. Several processes may call up() at once: one applies,
// the others wait and find nothing left to do. A version is applied whole or not at all.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "migrations/embedded.hpp"
#include "outbox/migration_plan.hpp"
#include "outbox/schema.hpp"

namespace outboxd::outbox {

struct migrate_options {
  std::string url;  // the owner's connection: a libpq URI or key/value string
  std::string schema = "outbox";
  role_names roles;
};

struct migrate_report {
  int version = 0;           // of the database, now
  std::vector<int> applied;  // by this call
  // SQL for someone who may run it: roles and grants that this login was not allowed to make. Empty
  // when everything is in place.
  std::string grants_to_run;
};

// Failures: unavailable (server away, or its locks not free for a minute: call again), forbidden,
// bad_input (a name), rejected (the database holds a newer version, a file that differs, or refused
// a statement).
base::result<migrate_report> up(const migrate_options& options,
                                migration_files files = migrations::all());

struct migration_state {
  int version = 0;
  std::string title;
  migration_status status = migration_status::pending;
  std::string applied_at, applied_by;  // for people; empty while pending
};

// Ascending by version. Changes nothing.
base::result<std::vector<migration_state>> status(const migrate_options& options,
                                                  migration_files files = migrations::all());

}  // namespace outboxd::outbox
