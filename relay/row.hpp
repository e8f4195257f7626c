// A row in the relay's memory, from the read that brought it until the mark or decision is written.
#pragma once

#include <boost/intrusive/set.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

#include "outbox/store.hpp"
#include "relay/publisher.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay {

using time_point = std::chrono::steady_clock::time_point;

struct site;
struct key_state;
struct row_line;

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
  site* where = nullptr;     // its destination, while it may still be published
  key_state* key = nullptr;  // of its key, from the time it lines up there until it is final
  lane_id lane = 0;          // where it is, or was last, published
  time_point read_at{};
  time_point published_at{};

  bool apart = false;        // published over the quarantine, or as if
  bool probe = false;        // asks whether its destination, which is held, works again
  row_line* line = nullptr;  // ready: where it stands in the window
  bool unordered = false;    // was never in its key's queue: decided without being due

  // Its places among others, without an allocation for each.
  boost::intrusive::set_member_hook<> in_line, in_key;

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

struct lower_id {
  bool operator()(const row& a, const row& b) const { return a.msg.ref < b.msg.ref; }
  bool operator()(const row* a, const row* b) const { return (*this)(*a, *b); }
};

template <boost::intrusive::set_member_hook<> row::*place>
using rows_by_id = boost::intrusive::set<
    row, boost::intrusive::member_hook<row, boost::intrusive::set_member_hook<>, place>,
    boost::intrusive::compare<lower_id>>;

// Rows that wait for the same thing, lowest id first. A row is in one line at most,
struct row_line : rows_by_id<&row::in_line> {};
// and, until it is published, among those of its key.
using rows_of_key = rows_by_id<&row::in_key>;

}  // namespace outboxd::relay
