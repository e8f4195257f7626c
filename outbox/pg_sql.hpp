// Every statement of the relay, built once from the name of the schema (validated, schema.hpp).
// Values travel as parameters. Each is a single statement: one snapshot, one round trip, and
// nothing stays open if we are stopped in the middle. The reasons stand above each in pg_sql.cpp.
#pragma once

#include <cstdint>
#include <string>

#include "outbox/session.hpp"

namespace outboxd::outbox {

// Up to here the gauges count, beyond they estimate.
inline constexpr std::int64_t exact_count_limit = 100'000;

struct store_statements {
  explicit store_statements(const std::string& schema);

  statement read;
  statement read_new;    // what has been written since, and nothing else
  statement last_drawn;  // the highest id that anybody has drawn
  statement draw_xid;    // a transaction id, younger than those of all who have drawn one by then
  statement writers;     // who can still fill a gap
  statement load_bodies;
  statement load_failed;
  statement can_pause;  // is there a table of pauses?
  statement load_pauses;
  statement locked;  // which rows somebody else holds
  statement mark_sent;
  statement delete_sent;
  statement decide;
  statement measure;
  statement purge;
};

struct lead_statements {
  explicit lead_statements(const std::string& schema);

  statement look_around;
  statement schema_version;
  statement try_lead;
  statement try_lock;  // the numbers of the locks are in schema.hpp
  statement unlock;
  statement take_epoch;
  statement ping;
};

// For lanes that run store_statements: plans that use the partial indexes, whatever the statistics
// say.
session_settings plan_settings();

}  // namespace outboxd::outbox
