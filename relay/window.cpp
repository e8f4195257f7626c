#include "relay/window.hpp"

#include <algorithm>
#include <cassert>
#include <functional>

namespace outboxd::relay {

namespace {

// Rows that have failed, all destinations together, and of one of them.
constexpr std::size_t quarantine_window = 64;
constexpr std::size_t quarantine_share = 1;

// A window that was full is filled again once this part of it is free: a few messages to a write
// cost less than one; but larger parts come at once, and let the broker wait for them.
constexpr std::size_t refill_part = 128;

// So many rows go over one lane before it is the turn of the next, for the same reason.
constexpr std::size_t rows_in_turn = 64;

}  // namespace

window::window(std::size_t lanes, std::size_t max_in_flight, bool bound_keys)
    : lanes_(lanes + 1), max_in_flight_(max_in_flight), bound_keys_(bound_keys) {}

void window::lane_opened(lane_id lane) {
  lane_state& l = lanes_.at(lane);
  l.open = true;
  l.blocked = l.spared = false;
}

void window::lane_closed(lane_id lane) {
  lanes_.at(lane).open = false;
}

void window::lane_blocked(lane_id lane, bool blocked) {
  lanes_.at(lane).blocked = blocked;
}

void window::spare(lane_id lane, bool spared) {
  lanes_.at(lane).spared = spared;
}

bool window::idle(lane_id lane) const {
  const lane_state& l = lanes_.at(lane);
  return l.open && !l.blocked && l.in_flight == 0;
}

bool window::some_lane_open() const {
  return std::any_of(lanes_.begin(), lanes_.end() - 1, [](const lane_state& l) { return l.open; });
}

bool window::needs_quarantine() const {
  return !failed_.empty() || !suspects_.empty() || lanes_.back().in_flight > 0;
}

// ---- rows that may go ----

row_line& window::line_for(const row& r) {
  if (r.suspect) return suspects_;
  if (quarantined(r)) return failed_;
  if (!bound_keys_ || !r.msg.ordering_key) return free_;
  return lanes_[std::hash<std::string>{}(*r.msg.ordering_key) % quarantine()].bound;
}

void window::add(row& r) {
  r.state = row_state::ready;
  now_busy(*r.where);
  ++r.where->ready;
  ++ready_;
  r.line = &line_for(r);
  r.line->insert(r.line->end(), r);  // it is mostly the highest so far
  if (r.suspect) ++r.where->suspects;
}

void window::remove(row& r) {
  take_out(r);
  if (r.suspect && --r.where->suspects == 0) unpark(*r.where);
  maybe_idle(*r.where);
}

void window::take_out(row& r) {
  site& s = *r.where;
  r.line->erase(r.line->iterator_to(r));
  r.line = nullptr;
  --s.ready;
  --ready_;
  if (!crowded_.empty() && s.parked.empty() && s.parked_failed.empty()) crowded_.erase(&s);
}

void window::now_busy(const site& s) {
  if (s.ready + s.in_flight == 0) ++busy_sites_;
}

void window::maybe_idle(const site& s) {
  if (s.ready + s.in_flight > 0) return;
  // The one that is left may have the whole window.
  if (--busy_sites_ == 1) {
    for (site* crowded : std::vector<site*>(crowded_.begin(), crowded_.end())) unpark(*crowded);
  }
}

// ---- shares ----

std::size_t window::share_of(const site& s) const {
  if (s.suspects > 0 && !s.trusted) return 0;
  const std::size_t fair =
      busy_sites_ > 1 ? std::max<std::size_t>(1, max_in_flight_ / 2) : max_in_flight_;
  return std::min(s.share, fair);
}

// The first row of a line whose destination has room; those before it step aside.
row* window::first_of(row_line& line) {
  while (!line.empty()) {
    row& r = *line.begin();
    site& s = *r.where;
    const bool for_quarantine = &line == &failed_;
    const bool room = for_quarantine ? s.in_quarantine < quarantine_share
                                     : s.in_flight - s.in_quarantine < share_of(s);
    if (room) return &r;
    line.erase(line.begin());
    r.line = for_quarantine ? &s.parked_failed : &s.parked;
    r.line->insert(r.line->end(), r);
    crowded_.insert(&s);
  }
  return nullptr;
}

void window::unpark(site& s) {
  if (s.parked.empty() && s.parked_failed.empty()) return;
  const auto move = [this](row_line& parked, std::size_t at_most) {
    for (; at_most > 0 && !parked.empty(); --at_most) {
      row& r = *parked.begin();
      parked.erase(parked.begin());
      r.line = &line_for(r);
      r.line->insert(r);
    }
  };
  const std::size_t used = s.in_flight - s.in_quarantine;
  const std::size_t share = share_of(s);
  move(s.parked, share - std::min(share, used));
  move(s.parked_failed, quarantine_share - std::min(quarantine_share, s.in_quarantine));
  if (s.parked.empty() && s.parked_failed.empty()) crowded_.erase(&s);
}

// ---- going ----

// Without the quarantine it is the first lane that is open: another may never be.
bool window::takes_failed(lane_id id) const {
  if (id == quarantine() || !without_quarantine_) return id == quarantine();
  return std::none_of(lanes_.begin(), lanes_.begin() + static_cast<std::ptrdiff_t>(id),
                      [](const lane_state& l) { return l.open; });
}

row* window::first_failed(const lane_state& lane) {
  if (!suspects_.empty()) return lane.in_flight == 0 ? &*suspects_.begin() : nullptr;
  return lane.in_flight < quarantine_window ? first_of(failed_) : nullptr;
}

row* window::candidate(lane_id id) {
  lane_state& lane = lanes_[id];
  if (!lane.open || lane.blocked || lane.spared || lane.alone) return nullptr;
  if (id == quarantine()) return first_failed(lane);
  if (takes_failed(id) && !(suspects_.empty() && failed_.empty())) {
    row* r = first_failed(lane);
    if (r != nullptr || !suspects_.empty()) return r;
  }
  row* best = first_of(lane.bound);
  row* other = first_of(free_);
  if (best == nullptr || (other != nullptr && lower_id{}(other, best))) best = other;
  return best;
}

row& window::send(row& r, lane_id id) {
  r.apart = r.line == &failed_ || r.line == &suspects_;
  take_out(r);
  r.state = row_state::in_flight;
  r.lane = id;
  lanes_[id].alone = r.suspect;
  ++lanes_[id].in_flight;
  ++r.where->in_flight;
  if (id == quarantine()) ++r.where->in_quarantine;
  ++in_flight_;
  return r;
}

row* window::next() {
  if (in_flight_ >= max_in_flight_) was_full_ = true;
  if (in_flight_ + std::max<std::size_t>(1, max_in_flight_ / refill_part) <= max_in_flight_)
    was_full_ = false;
  if (ready_ == 0 || was_full_) return nullptr;
  for (std::size_t tried = 0; tried <= lanes_.size(); ++tried) {
    if (turn_left_ > 0) {
      --turn_left_;
      if (row* r = candidate(turn_); r != nullptr) return &send(*r, turn_);
    }
    turn_ = (turn_ + 1) % lanes_.size();
    turn_left_ = rows_in_turn;
  }
  return nullptr;
}

void window::landed(row& r) {
  assert(r.state == row_state::in_flight && in_flight_ > 0);
  lanes_[r.lane].alone = false;
  --lanes_[r.lane].in_flight;
  --in_flight_;
  --r.where->in_flight;
  if (r.lane == quarantine()) --r.where->in_quarantine;
  if (r.suspect) --r.where->suspects;
  unpark(*r.where);
  maybe_idle(*r.where);
}

}  // namespace outboxd::relay
