// Whether the relay can work with what it finds in the database: the schema, its version, the
// grants of our login. Blocks; on the thread of the session.
#pragma once

#include <string>

#include "outbox/pg_sql.hpp"
#include "outbox/schema.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {

struct schema_probe {
  schema_fit fit = schema_fit::missing;
  int version = 0;
  std::string role;     // we are logged in as
  std::string lacking;  // grants, for people; empty: none

  bool ready() const {
    return fit != schema_fit::missing && fit != schema_fit::too_old && lacking.empty();
  }
};

schema_probe probe_schema(session& db, const lead_statements& sql, const std::string& schema);

// What is wrong and what to run; empty when it is ready.
std::string advice(const schema_probe& probe, const std::string& schema);

}  // namespace outboxd::outbox
