// A publisher for unit tests of the relay: remembers what was published, and the test says what
// becomes of it. Nothing happens by itself; every event is raised by a call of the test.
// Single-threaded.
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "outbox/message.hpp"
#include "relay/publisher.hpp"

namespace outboxd::tests {

class scripted_publisher final : public relay::publisher {
 public:
  struct lane_state {
    bool open = false;
    bool blocked = false;
    int renewed = 0;
    std::vector<const outbox::message*> unconfirmed;  // oldest first
  };
  struct published {
    relay::lane_id lane;
    outbox::message row;  // as it was then
  };

  explicit scripted_publisher(std::size_t lanes) : lanes_(lanes + 1) {}

  // ---- the seam

  std::size_t lanes() const override { return lanes_.size() - 1; }
  void start(relay::publisher_events& events) override {
    assert(events_ == nullptr);
    events_ = &events;
  }
  void abandon(const std::string& why) override {
    for (relay::lane_id id = 0; id < lanes_.size(); ++id) {
      if (lanes_[id].open) close(id, relay::doubt::connection_lost, 0, why);
    }
    events_ = nullptr;
  }
  void want_quarantine(bool wanted) override {
    assert(wanted || lanes_.back().unconfirmed.empty());
    quarantine_wanted_ = wanted;
  }
  void publish(relay::lane_id lane, const outbox::message& row) override {
    lane_state& l = lanes_.at(lane);
    assert(l.open && !l.blocked && row.body_loaded);
    l.unconfirmed.push_back(&row);
    all_.push_back({lane, row});
  }
  void renew(relay::lane_id lane) override {
    lane_state& l = lanes_.at(lane);
    assert(l.open && !l.blocked && l.unconfirmed.empty());
    l.open = false;
    ++l.renewed;
  }
  void stop(std::chrono::milliseconds, std::function<void()> done) override {
    stopping_.push_back(std::move(done));
  }

  // ---- what the test sees

  const std::vector<published>& all() const { return all_; }
  const lane_state& lane(relay::lane_id id) const { return lanes_.at(id); }
  bool started() const { return events_ != nullptr; }
  relay::lane_id quarantine() const { return lanes(); }
  bool quarantine_wanted() const { return quarantine_wanted_; }
  bool stop_wanted() const { return !stopping_.empty(); }
  // Ids in the order in which they were published.
  std::vector<std::int64_t> ids() const {
    std::vector<std::int64_t> v;
    for (const published& p : all_) v.push_back(p.row.ref.id);
    return v;
  }
  std::vector<std::int64_t> unconfirmed(relay::lane_id id) const {
    std::vector<std::int64_t> v;
    for (const outbox::message* row : lanes_.at(id).unconfirmed) v.push_back(row->ref.id);
    return v;
  }

  // ---- what the test says

  void open(relay::lane_id id) {
    lanes_.at(id).open = true;
    lanes_.at(id).blocked = false;
    events_->lane_opened(id);
  }
  void block(relay::lane_id id, bool blocked, const std::string& reason = "low on memory") {
    lanes_.at(id).blocked = blocked;
    events_->lane_blocked(id, blocked, blocked ? reason : "");
  }
  // The lane is gone, then what was unconfirmed becomes unknown.
  void close(relay::lane_id id, relay::doubt why = relay::doubt::connection_lost, int code = 0,
             const std::string& text = "connection reset by peer") {
    lane_state& l = lanes_.at(id);
    l.open = l.blocked = false;
    std::vector<relay::outcome> batch;
    for (const outbox::message* row : std::exchange(l.unconfirmed, {})) {
      batch.push_back({row->ref, relay::verdict::unknown, why, code, text});
    }
    events_->lane_closed(id, why, code, text);
    if (!batch.empty()) events_->outcomes(id, batch);
  }
  // One batch: the rows with these ids, wherever they are unconfirmed on the lane.
  void settle(relay::lane_id id, const std::vector<std::int64_t>& rows, relay::verdict what,
              int code = 0, const std::string& text = {}) {
    std::vector<relay::outcome> batch;
    batch.reserve(rows.size());
    for (const std::int64_t row : rows)
      batch.push_back({take(id, row), what, relay::doubt::none, code, text});
    events_->outcomes(id, batch);
  }
  void confirm(relay::lane_id id, const std::vector<std::int64_t>& rows) {
    settle(id, rows, relay::verdict::confirmed);
  }
  void confirm_all(relay::lane_id id) { confirm(id, unconfirmed(id)); }
  void finish_stop() {
    for (auto& done : std::exchange(stopping_, {})) done();
  }

 private:
  outbox::row_ref take(relay::lane_id id, std::int64_t row) {
    auto& rows = lanes_.at(id).unconfirmed;
    const auto it = std::find_if(rows.begin(), rows.end(),
                                 [&](const outbox::message* m) { return m->ref.id == row; });
    assert(it != rows.end());
    const outbox::row_ref ref = (*it)->ref;
    rows.erase(it);
    return ref;
  }

  std::vector<lane_state> lanes_;  // the quarantine is the last
  bool quarantine_wanted_ = false;
  std::vector<published> all_;
  relay::publisher_events* events_ = nullptr;
  std::vector<std::function<void()>> stopping_;
};

}  // namespace outboxd::tests
