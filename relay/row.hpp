// A row in the relay's memory, from the read that brought it until the mark or decision is written.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>

#include "outbox/store.hpp"
#include "relay/publisher.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay {

using time_point = std::chrono::steady_clock::time_point;

struct row;
struct site;

struct lower_id {
  bool operator()(const row* a, const row* b) const;
};
using rows_by_id = std::set<row*, lower_id>;

enum class row_state {
  queued,     // behind another row of its key
  bodiless,   // may go, but its body has yet to be read
  held,       // its destination is held: waits in memory to be the next probe
  ready,      // may be published
  in_flight,  // published, no outcome yet
  acked,      // confirmed; the mark is not written yet
  deciding,   // failed; the decision is not written yet
};

struct row {
  outbox::message msg;
  row_state state = row_state::queued;
  site* where = nullptr;  // its destination, while it may still be published
  lane_id lane = 0;       // where it is, or was last, published
  time_point read_at{};
  time_point published_at{};

  bool apart = false;          // published over the quarantine, or as if
  bool probe = false;          // asks whether its destination, which is held, works again
  rows_by_id* line = nullptr;  // ready: where it stands in the window
  bool unordered = false;      // was never in its key's queue: decided without being due

  // A channel or connection that the broker closed takes the confirms of innocent rows with it.
  // Those that were on it are suspects: published alone until each has shown what it is.
  bool suspect = false;
  int closed_alone = 0;  // how often it was closed over this row alone
  int lost_with = 0;     // how often a connection was lost with this row in flight
  std::uint64_t confirmed_of_site = 0, confirmed_in_all = 0;  // when the suspicion began

  std::optional<outbox::decision> decision;  // with deciding
  verdict why = verdict::unknown;            // what the decision is about
};

// Goes over the quarantine connection: whatever becomes of it, it leaves the others alone.
inline bool quarantined(const row& r) {
  return r.suspect || r.probe || r.msg.attempts > 0;
}

inline bool lower_id::operator()(const row* a, const row* b) const {
  return a->msg.ref < b->msg.ref;
}

}  // namespace outboxd::relay
