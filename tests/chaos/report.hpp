// What a run says at its end: a table for people, JSON for machines.
#pragma once

#include "tests/chaos/checker.hpp"
#include "tests/chaos/plan.hpp"
#include "tests/chaos/replicas.hpp"

namespace outboxd::chaos {

struct summary {
  profile where = profile::single;
  std::uint64_t seed = 0;
  double minutes = 0;  // with faults
  tests::sidecar::settings settings = {};
  double drained_after_seconds = 0;
  std::size_t rows_written = 0, commits_in_doubt = 0;
  verdict reached = {};
  std::map<std::string, std::size_t> faults = {};  // by kind
  std::vector<std::string> unstaged = {};          // faults that could not be staged, and why
  usage used = {};

  // A fault that was not staged proves nothing: it fails the run too.
  bool passed() const { return reached.holds() && unstaged.empty(); }
};

std::string table(const summary& of);
std::string json(const summary& of);

}  // namespace outboxd::chaos
