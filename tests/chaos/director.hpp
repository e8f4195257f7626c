// Carries out the plan: one thread for each track. What it has done is remembered as incidents; in
// the end everything is mended, whatever went wrong in between.
#pragma once

#include "tests/chaos/consumers.hpp"
#include "tests/chaos/plan.hpp"
#include "tests/chaos/replicas.hpp"
#include "tests/chaos/stage.hpp"

#include <functional>

namespace outboxd::chaos {

// What a sidecar may have under way, for the duplicates that an incident may cost.
struct under_way {
  std::size_t in_flight = 0;  // unconfirmed
  std::size_t held = 0;       // read and not yet written back, acked ones too
};

class director {
 public:
  director(stage& on, replicas& relays, consumers& readers, const timeline& clock, under_way limits,
           std::function<void(const std::string&)> say);

  // Returns when the timeline is over and everything is mended.
  void play(moment length, std::uint64_t seed, profile run);

  const std::vector<incident>& incidents() const { return incidents_; }
  // Faults that could not be staged, with the reason.
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  void play_track(const std::vector<fault>& faults);
  void commit(const fault& f);
  void mend();

  void on_network(const fault& f);
  void on_broker(const fault& f);
  void on_nodes(const fault& f);
  void on_database(const fault& f);
  void on_sidecars(const fault& f);

  void lasting(const fault& f, const std::function<void()>& begin,
               const std::function<void()>& end);
  std::size_t allowance(fault_kind kind) const;

  stage& stage_;
  replicas& relays_;
  consumers& readers_;
  const timeline& clock_;
  const under_way limits_;
  const std::function<void(const std::string&)> say_;

  std::mutex mutex_;
  std::vector<incident> incidents_;    // guarded by mutex_ while it plays
  std::vector<std::string> failures_;  // likewise
};

}  // namespace outboxd::chaos
