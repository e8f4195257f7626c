// Which row goes to the broker next, and on which lane: lowest id first on each, within the window,
// a key always on the same lane. Pure; owned by the relay core.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "relay/row.hpp"

namespace outboxd::relay {

class window {
 public:
  window(std::size_t lanes, std::size_t max_in_flight);

  void lane_opened(lane_id lane);
  void lane_closed(lane_id lane);
  void lane_blocked(lane_id lane, bool blocked);

  // The row may be published from now on (state ready), or no longer.
  void add(row& r);
  void remove(row& r);

  // The next row to publish, already counted as in flight with its lane set; nullptr: none can go
  // now.
  row* next();

  // Its outcome is here.
  void landed(row& r);

  std::size_t in_flight() const { return in_flight_; }
  // Nothing is in flight or could be.
  bool empty() const;

 private:
  using by_id = std::set<row*, lower_id>;

  struct lane_state {
    bool open = false;
    bool blocked = false;
    bool alone = false;  // what is in flight is a suspect
    std::size_t in_flight = 0;
    by_id keyed;     // rows with a key that hashes to this lane
    by_id suspects;  // go alone, before anything else
  };

  by_id& home(const row& r);
  row* candidate(const lane_state& lane) const;

  std::vector<lane_state> lanes_;
  by_id keyless_;  // any lane will do
  std::size_t max_in_flight_;
  std::size_t in_flight_ = 0;
  lane_id turn_ = 0;
};

}  // namespace outboxd::relay
