// A world with one database, one broker, services, and replicas of outboxd of which one leads. One
// seed decides everything. Throws a violation as soon as a promise is broken.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "tests/simulation/scenario.hpp"

namespace outboxd::simulation {

class simulation {
 public:
  simulation(unsigned seed, const scenario& scenario);

  // The whole story: faults for some time, then none, and everything that can be sent must be.
  void run();

  const checker& promises() const { return checker_; }

 private:
  struct trouble_now {
    model_broker::destination where;
    bool exchange;
    time_point until;
  };

  void step(bool faults);
  void go_wrong();
  void broker_goes_wrong();
  void database_goes_wrong();
  void leaders_go_wrong();
  void begin_trouble();
  void end_troubles(bool all);
  void lock_a_row();
  void crash_database();
  void elect(std::size_t next);
  void keep_a_leader();
  void settle_down();
  void drain();
  void check_that_others_flow() const;
  void check_that_it_is_spared(int publishes, std::chrono::milliseconds during) const;
  bool drained() const;
  // Waits for ever, and why not: its destination is broken, or a row of its key that is.
  std::set<row_ref> may_wait() const;

  luck luck_;
  clock clock_;
  scenario scenario_;
  checker checker_;
  model_table table_;
  model_broker broker_;
  services services_;
  std::vector<std::unique_ptr<replica>> replicas_;

  std::optional<std::size_t> leader_;                 // of the table's epoch
  std::vector<std::optional<time_point>> learns_at_;  // that it does not lead any more
  std::optional<time_point> away_until_, alarm_until_;
  std::map<std::int64_t, time_point> unlocks_at_;  // rows that are locked
  std::vector<trouble_now> troubles_;
};

}  // namespace outboxd::simulation
