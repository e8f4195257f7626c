// One outboxd: the real core, obeyed as relay/relay.cpp does, over the model table and broker. A
// statement runs at some step after it was asked for, and is answered at a later one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "relay/core.hpp"
#include "tests/simulation/model_lane.hpp"
#include "tests/simulation/model_table.hpp"

namespace outboxd::simulation {

// What all replicas share.
struct surroundings {
  luck& chance;
  clock& time;
  checker& promises;
  model_table& table;
  model_broker& broker;
};

struct replica_options {
  relay::options relay;
  std::size_t lanes = 2;
  std::size_t least_capacity = 1'024;
  std::chrono::milliseconds confirm_timeout{150};
};

class replica final : public relay::publisher_events {
 public:
  replica(surroundings w, const replica_options& options);

  // ---- what happens to it ----
  void gain_lead(std::int64_t epoch);
  void lose_lead();  // it is told; until then it believes
  void step();
  void notify();
  // kill -9
  void vanish(goodbye how);
  model_lane& lane(std::size_t i) { return lanes_.at(i); }
  void cut(std::size_t lane, goodbye how) { lanes_.at(lane).cut(*this, how); }
  // Its sessions are broken: the next statement of each fails.
  void lose_database();
  // per mille of the statements that fail, done or not
  int failing_statements = 0;
  bool database_is_away = false;
  int reconnects_per_cent = 20;

  // ---- questions ----
  bool leading() const { return core_.leading(); }
  std::int64_t epoch() const { return epoch_; }
  std::size_t lanes() const { return lanes_.size(); }
  const relay::core& core() const { return core_; }
  // In flight, or confirmed and not yet marked.
  std::set<row_ref> in_doubt() const;
  bool has_wake_lock() const { return wake_lock_; }

 private:
  template <typename Request>
  struct statement {
    std::optional<Request> asked;
    std::function<void()> answer;  // set once it has run
  };

  void lane_opened(relay::lane_id lane) override;
  void lane_closed(relay::lane_id lane, relay::doubt why, int code,
                   const std::string& text) override;
  void lane_blocked(relay::lane_id lane, bool blocked, const std::string& reason) override;
  void outcomes(relay::lane_id lane, std::span<const relay::outcome> batch) override;

  void poll();
  void obey(relay::action& a);
  void publish(relay::row& r);
  bool knows_to_be_paused(const outbox::message& m) const;
  void check_memory() const;

  template <typename Request, typename Run>
  void step(statement<Request>& s, Run run);
  void step_statements();
  void step_pauses();
  void step_writes();
  void step_wake();
  // Whether the statement fails; `broken`: of its session.
  bool fails(bool& broken);

  surroundings w_;
  replica_options options_;
  relay::core core_;
  std::vector<model_lane> lanes_;  // the last one is the quarantine
  std::int64_t epoch_ = 0;
  bool wants_quarantine_ = false;

  statement<outbox::read_request> read_;
  statement<std::vector<row_ref>> load_;
  statement<relay::do_load_failed> holds_;
  statement<relay::do_load_pauses> pauses_;
  statement<std::vector<row_ref>> settle_;
  statement<relay::do_decide> decide_;
  bool read_session_broken_ = false, write_session_broken_ = false;
  bool asked_for_wake_lock_ = false, wake_lock_ = false;
  std::set<row_ref> unmarked_;  // confirmed, as it was told
  std::vector<outbox::pause_in_force> told_pauses_;
};

}  // namespace outboxd::simulation
