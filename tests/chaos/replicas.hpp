// The sidecars of a run. Counts what each has used and done, also of those that were killed, keeps
// their logs, and notices one that ends although nobody told it to (another takes its place). Any
// thread may call.
#pragma once

#include "tests/chaos/timeline.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/sidecar.hpp"

namespace outboxd::chaos {

struct usage {
  std::size_t peak_resident_bytes = 0;  // of the largest one
  double cpu_seconds = 0;               // of all of them
  // Sums over all of them of outbox_…_total, labels added up.
  std::map<std::string, double> counters = {};
};

class replicas {
 public:
  replicas(std::size_t count, std::string database_url, std::string amqp_url,
           tests::sidecar::settings settings, std::filesystem::path logs);
  ~replicas();

  std::size_t count() const { return slots_.size(); }
  // The one that leads, or any where nobody does.
  std::size_t leader();

  void kill(std::size_t which);  // kill -9; it stays away until start()
  void freeze(std::size_t which);
  void thaw(std::size_t which);
  // SIGTERM, and waits for its end; it stays away until start().
  void stop(std::size_t which);
  void start(std::size_t which);

  // What the leader says of itself: /readyz?verbose and its metrics. For a run that gets stuck.
  std::string self_description();

  usage used();
  std::vector<std::string> crashes();

 private:
  struct slot {
    std::mutex mutex = {};
    std::unique_ptr<tests::sidecar> process = {};
    bool frozen = false;
    int life = 0;
    usage now = {};  // of this process, as of the last look
  };

  void watch();
  void look(slot& at);
  void bury(std::size_t which, slot& at);
  void launch(slot& at);

  const std::string database_url_, amqp_url_;
  const tests::sidecar::settings settings_;
  const std::filesystem::path logs_;
  std::vector<std::unique_ptr<slot>> slots_;

  std::mutex mutex_;
  usage of_the_dead_;                 // guarded by mutex_
  std::vector<std::string> crashes_;  // guarded by mutex_
  timeline life_;
  std::thread watcher_;
};

}  // namespace outboxd::chaos
