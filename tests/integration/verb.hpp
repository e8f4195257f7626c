// A verb of the program, as somebody types it.
#pragma once

#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/child_process.hpp"

namespace outboxd::tests {

struct verb_answer {
  int code = -1;
  std::string out, err;
};

inline std::unique_ptr<child_process> begin_verb(
    std::vector<std::string> arguments, const std::map<std::string, std::string>& environment) {
  arguments.insert(arguments.begin(), OUTBOXD_BINARY);
  return std::make_unique<child_process>(command{std::move(arguments), environment});
}

// Throws when it does not end within two minutes.
inline verb_answer end_of(child_process& verb) {
  const auto status = verb.wait(std::chrono::minutes(2));
  if (!status) throw std::runtime_error("outboxd does not end: " + verb.err());
  return {status->code, verb.out(), verb.err()};
}

inline verb_answer run_verb(std::vector<std::string> arguments,
                            const std::map<std::string, std::string>& environment) {
  return end_of(*begin_verb(std::move(arguments), environment));
}

// The words behind "outboxd" in the line that a stopped verb says it goes on with; none: it says
// none.
inline std::vector<std::string> words_to_go_on(const std::string& err,
                                               const std::string& introduced_by = "to go on:") {
  const std::string before = introduced_by + " outboxd ";
  const auto at = err.find(before);
  if (at == std::string::npos) return {};
  const auto words = at + before.size();
  std::istringstream line(err.substr(words, err.find('\n', words) - words));
  return {std::istream_iterator<std::string>(line), {}};
}

}  // namespace outboxd::tests
