#include "relay/window.hpp"

#include <boost/assert.hpp>

#include <algorithm>
#include <functional>

namespace outboxd::relay {

window::window(std::size_t lanes, std::size_t max_in_flight)
    : lanes_(lanes), max_in_flight_(max_in_flight) {}

void window::lane_opened(lane_id lane) {
  lanes_.at(lane).open = true;
  lanes_.at(lane).blocked = false;
}

void window::lane_closed(lane_id lane) {
  lanes_.at(lane).open = false;
}

void window::lane_blocked(lane_id lane, bool blocked) {
  lanes_.at(lane).blocked = blocked;
}

window::by_id& window::home(const row& r) {
  if (r.suspect) return lanes_[r.lane].suspects;
  if (!r.msg.ordering_key) return keyless_;
  return lanes_[std::hash<std::string>{}(*r.msg.ordering_key) % lanes_.size()].keyed;
}

void window::add(row& r) {
  r.state = row_state::ready;
  home(r).insert(&r);
}

void window::remove(row& r) {
  home(r).erase(&r);
}

row* window::candidate(const lane_state& lane) const {
  if (!lane.open || lane.blocked || lane.alone) return nullptr;
  if (!lane.suspects.empty()) return lane.in_flight == 0 ? *lane.suspects.begin() : nullptr;
  row* best = lane.keyed.empty() ? nullptr : *lane.keyed.begin();
  if (!keyless_.empty() && (best == nullptr || lower_id{}(*keyless_.begin(), best)))
    best = *keyless_.begin();
  return best;
}

row* window::next() {
  if (in_flight_ >= max_in_flight_) return nullptr;
  for (std::size_t tried = 0; tried < lanes_.size(); ++tried) {
    const lane_id id = turn_;
    turn_ = (turn_ + 1) % lanes_.size();
    lane_state& lane = lanes_[id];
    if (row* r = candidate(lane); r != nullptr) {
      home(*r).erase(r);
      r->state = row_state::in_flight;
      r->lane = id;
      lane.alone = r->suspect;
      ++lane.in_flight;
      ++in_flight_;
      return r;
    }
  }
  return nullptr;
}

bool window::empty() const {
  return in_flight_ == 0 && keyless_.empty() &&
         std::all_of(lanes_.begin(), lanes_.end(),
                     [](const lane_state& l) { return l.keyed.empty() && l.suspects.empty(); });
}

void window::landed(row& r) {
  BOOST_ASSERT(r.state == row_state::in_flight && in_flight_ > 0);
  lanes_[r.lane].alone = false;
  --lanes_[r.lane].in_flight;
  --in_flight_;
}

}  // namespace outboxd::relay
