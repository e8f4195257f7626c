// What goes wrong while users sign up, in which order, and when. Each fault is announced, done to
// the servers and programs from outside (the services contain no hook for it), and undone.
#pragma once

#include "examples/user_card/demo/stage.hpp"

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace user_card::demo {

struct fault {
  double when;  // the share of the users that has signed up
  std::string title;
  std::function<void(const std::stop_token&)> strike;  // returns when it is undone
};

// Earliest first. The seed decides about the order of the killing.
std::vector<fault> all_faults(stage& on, unsigned seed, const narrator& say);

}  // namespace user_card::demo
