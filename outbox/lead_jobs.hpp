// What the lead's session is asked to do: whole jobs for its lane. Each says which session it means
// by the pid of its backend, because the lane would otherwise run it in the next one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "outbox/pg_sql.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {

struct lead_survey {
  std::string advice;  // empty: ready
  int pid = 0;
  int schema_version = 0;
};
lead_survey survey(session& db, const lead_statements& sql, const std::string& schema);

struct lead_attempt {
  std::optional<std::int64_t> epoch;  // none: refused
  std::string holder;                 // who took the lead last
  std::string table;                  // the oid that the lock is made of
  std::string listen_error;           // the lead counts without notifications too
  bool listen_ended_session = false;  // and then nothing counts
};
// listen_on: the channel; empty: none.
lead_attempt try_lead(session& db, const lead_statements& sql, int pid, const std::string& instance,
                      const std::string& listen_on);

// These throw when the session is not the one with that pid; ping() also when the table is not the
// one that the lock was taken for.
bool ping(session& db, const lead_statements& sql, int pid, const std::string& table);
bool try_wake(session& db, const lead_statements& sql, int pid);
bool release_wake(session& db, const lead_statements& sql, int pid);

}  // namespace outboxd::outbox
