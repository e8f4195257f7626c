// Which row goes to the broker next, and on which lane: lowest id first on each, within the window.
// Pure; owned by the relay core.
//
// While several destinations have work, each may use half of the window at most: one that confirms
// slowly, or not at all, leaves room for the others.
#pragma once

#include <set>
#include <vector>

#include "relay/destinations.hpp"
#include "relay/row.hpp"

namespace outboxd::relay {

class window {
 public:
  // lanes: without the quarantine, which is the one behind them. bound_keys: a key always uses the
  // same lane; else any, since a row waits for the outcome of the one before it.
  window(std::size_t lanes, std::size_t max_in_flight, bool bound_keys = false);

  void lane_opened(lane_id lane);
  void lane_closed(lane_id lane);
  void lane_blocked(lane_id lane, bool blocked);
  // It takes no row until it is spared no more, or opened again.
  void spare(lane_id lane, bool spared);
  // It could take rows, and none is in flight there.
  bool idle(lane_id lane) const;

  // The row may be published from now on (state ready), or no longer.
  void add(row& r);
  void remove(row& r);

  // The next row to publish, already counted as in flight with its lane set; nullptr: none can go
  // now.
  row* next();

  // Its outcome is here. The caller may have changed its destination's share before.
  void landed(row& r);

  std::size_t in_flight() const { return in_flight_; }
  std::size_t lanes() const { return lanes_.size(); }  // with the quarantine
  // Nothing is in flight or could be.
  bool empty() const { return in_flight_ == 0 && ready_ == 0; }
  // Some row is to go over the quarantine, or is there.
  bool needs_quarantine() const;
  bool quarantine_open() const { return lanes_.back().open; }
  bool some_lane_open() const;
  // The broker does not let us have the quarantine connection: its rows use the others.
  void do_without_quarantine(bool on) { without_quarantine_ = on; }
  bool without_quarantine() const { return without_quarantine_; }

 private:
  struct lane_state {
    bool open = false;
    bool blocked = false;
    bool spared = false;
    bool alone = false;  // what is in flight is a suspect
    std::size_t in_flight = 0;
    row_line bound;  // rows with a key that hashes to this lane
  };

  lane_id quarantine() const { return lanes_.size() - 1; }
  bool takes_failed(lane_id id) const;
  row_line& line_for(const row& r);
  std::size_t share_of(const site& s) const;
  row* first_of(row_line& line);
  row* first_failed(const lane_state& lane);
  row* candidate(lane_id id);
  row& send(row& r, lane_id id);
  void take_out(row& r);
  void unpark(site& s);
  void now_busy(const site& s);
  void maybe_idle(const site& s);

  std::vector<lane_state> lanes_;
  row_line free_;            // any lane will do
  row_line failed_;          // go over the quarantine
  row_line suspects_;        // go there alone, before anything else
  std::set<site*> crowded_;  // have parked rows
  std::size_t max_in_flight_;
  bool bound_keys_;
  bool without_quarantine_ = false;
  std::size_t in_flight_ = 0;
  bool was_full_ = false;  // and there is not yet enough room again for a write of many messages
  std::size_t ready_ = 0;
  std::size_t busy_sites_ = 0;  // have rows that are ready or in flight
  lane_id turn_ = 0;
  std::size_t turn_left_ = 0;
};

}  // namespace outboxd::relay
