// One run of chaos, from the start of the servers to the verdict.
#pragma once

#include "tests/chaos/report.hpp"

namespace outboxd::chaos {

struct run_options {
  profile where = profile::single;
  std::uint64_t seed = 0;
  double minutes = 2;
  std::size_t replicas = 3;
  int writers = 4;
  int rows_per_second = 300;
  tests::sidecar::settings settings =
      {};  // instead of what is the default here, or the seed's choice
  // The logs of the sidecars go here; after a failure all logs and the facts.
  std::filesystem::path output = {};
};

summary run(const run_options& chosen);

}  // namespace outboxd::chaos
