// Lets the faults strike, one after the other, each when its share of users has signed up. Runs on
// a thread of its own until all are done, one cannot be done, or it is destroyed.
#pragma once

#include "examples/user_card/demo/faults.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace user_card::demo {

class director {
 public:
  director(std::vector<fault> faults, narrator say);

  // The share of the users that has signed up by now.
  void signed_up(double share) { share_ = share; }

  std::string current() const;  // the fault that is on, or empty
  bool done() const { return done_; }
  std::string failure() const;  // why a fault could not be done, or empty

 private:
  void run(const std::stop_token& stop);
  void set(std::string& text, const std::string& value);

  const std::vector<fault> faults_;
  const narrator say_;
  std::atomic<double> share_ = 0;
  std::atomic<bool> done_ = false;
  mutable std::mutex mutex_;
  std::string current_;
  std::string failure_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace user_card::demo
