// A verb of the program, as somebody types it.
#pragma once

#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/child_process.hpp"

namespace outboxd::tests {

struct verb_answer {
  int code = -1;
  std::string out, err;
};

// Throws when it does not end within a minute.
inline verb_answer run_verb(std::vector<std::string> arguments,
                            const std::map<std::string, std::string>& environment) {
  const std::string verb = arguments.empty() ? "" : arguments.front();
  arguments.insert(arguments.begin(), OUTBOXD_BINARY);
  child_process child({std::move(arguments), environment});
  const auto status = child.wait(std::chrono::seconds(60));
  if (!status) throw std::runtime_error("outboxd " + verb + " does not end");
  return {status->code, child.out(), child.err()};
}

}  // namespace outboxd::tests
