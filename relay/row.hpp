// A row in the relay's memory, from the read that brought it until the mark or decision is written.
#pragma once

#include <chrono>
#include <optional>

#include "outbox/store.hpp"
#include "relay/publisher.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay {

using time_point = std::chrono::steady_clock::time_point;

enum class row_state {
  queued,     // behind another row of its key
  bodiless,   // next of its key, but its body has yet to be read
  ready,      // may be published
  in_flight,  // published, no outcome yet
  acked,      // confirmed; the mark is not written yet
  deciding,   // failed; the decision is not written yet
};

struct row {
  outbox::message msg;
  row_state state = row_state::queued;
  lane_id lane = 0;  // where it is, or was last, published
  time_point read_at{};
  time_point published_at{};

  // A channel that the broker closed takes the confirms of innocent rows with it. Those that were
  // on it are suspects: published alone until each has shown what it is.
  bool suspect = false;
  int closed_alone = 0;  // how often the channel was closed over this row alone

  std::optional<outbox::decision> decision;  // with deciding
  verdict why = verdict::unknown;            // what the decision is about
};

struct lower_id {
  bool operator()(const row* a, const row* b) const { return a->msg.ref < b->msg.ref; }
};

}  // namespace outboxd::relay
