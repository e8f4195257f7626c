// Every statement of the relay, built once from the name of the schema. Values travel as
// parameters. Each is a single statement: one snapshot, one round trip, and nothing stays open if
// we are stopped in the middle. The reasons stand above each in pg_sql.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "outbox/session.hpp"

namespace outboxd::outbox {

// Up to here the gauges count, beyond they estimate.
inline constexpr std::int64_t exact_count_limit = 100'000;

struct store_statements {
  explicit store_statements(std::string_view schema);

  statement read;
  statement load_bodies;
  statement load_failed;
  statement mark_sent;
  statement delete_sent;
  statement decide;
  statement measure;
  statement purge;
};

// Two-integer advisory locks: the oid of the messages table, and one of these. The numbers and the
// channel are also in the trigger that wakes the relay (migrations/0001_outbox.up.sql).
inline constexpr int lead_lock = 1;
inline constexpr int wake_lock = 2;
std::string wake_channel(std::string_view schema);

struct lead_statements {
  explicit lead_statements(std::string_view schema);

  statement look_around;
  statement schema_version;
  statement try_lock;  // of a lock above
  statement unlock;
  statement take_epoch;
  statement ping;
};

// For lanes that run store_statements: plans that use the partial indexes, whatever the statistics
// say.
session_settings plan_settings();

}  // namespace outboxd::outbox
