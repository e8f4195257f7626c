// What the demo can be told on its command line.
#pragma once

#include <optional>
#include <string>

namespace user_card::demo {

struct options {
  long users = 3000;
  double rate = 75;  // users per second
  unsigned seed = 1;
  bool keep = false;  // leave everything running after the verdict
  std::string outboxd;
};

// Empty: the usage was printed, or the command line was wrong; exit_status says which.
std::optional<options> parse(int argc, char** argv, int& exit_status);

}  // namespace user_card::demo
