// What will be done to whom and when: made from the seed alone, so that a seed repeats it. Faults
// of one track follow each other, the tracks run side by side.
#pragma once

#include "tests/chaos/facts.hpp"
#include "tests/chaos/luck.hpp"

namespace outboxd::chaos {

// single: one broker, one database. cluster: three brokers, a database with a synchronous stand-by.
enum class profile { single, cluster };

enum class track { network, broker, database, sidecars };
constexpr std::size_t tracks = 4;

enum class fault_kind {
  // network: through the gate before the broker or the database
  broker_refused,
  broker_cut,
  broker_stalled,
  broker_delayed,
  broker_trickles,
  broker_reset,
  database_refused,
  database_cut,
  database_stalled,
  database_delayed,
  database_trickles,
  database_reset,
  // broker
  broker_restarted,
  broker_killed,
  memory_alarm,
  connections_closed,
  queue_deleted,
  quorum_queue_deleted,
  binding_removed,
  exchange_deleted,
  permission_removed,
  queue_full,
  // database
  database_restarted,
  database_stopped_immediately,
  database_killed,
  backends_terminated,
  table_locked,
  // sidecars
  sidecar_killed,
  sidecar_frozen,
  sidecar_replaced,
  // the same tracks, in a cluster
  node_stopped,
  node_killed,
  node_drained,
  node_cut_off,
  leaders_moved,
  database_promoted,
  sidecars_replaced_in_turn
};
constexpr std::size_t fault_kinds = 37;

std::string to_string(profile run);
std::string_view to_string(fault_kind kind);
track track_of(fault_kind kind);
bool belongs_to(fault_kind kind, profile run);

struct fault {
  fault_kind kind = fault_kind::broker_refused;
  moment at{0};            // earliest
  moment lasts{0};         // until it is undone
  std::uint64_t luck = 0;  // for what is chosen when it happens: which sidecar, which direction
};

// Of one track, in order of time: every kind of it once in a random order before any comes again.
std::vector<fault> plan(track on, moment length, std::uint64_t seed, profile run = profile::single);

}  // namespace outboxd::chaos
