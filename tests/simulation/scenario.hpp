// What a seed stands for: settings of the relay, habits of the services, and what may go wrong.
#pragma once

#include <optional>
#include <string>

#include "tests/simulation/model_broker.hpp"
#include "tests/simulation/replica.hpp"
#include "tests/simulation/services.hpp"

namespace outboxd::simulation {

// Each per mille, each step, while there are faults.
struct faults {
  int cut = 0;         // each lane: the connection is lost
  int closed = 0;      // each lane: the server closes the connection
  int alarm = 0;       // the broker blocks, or goes on
  int troubles = 0;    // an exchange or a destination fails for a while
  int statements = 0;  // of the statements fail, done or not
  int away = 0;        // the database is away for a while
  int locks = 0;       // somebody's transaction holds a row for a while
  int crash = 0;       // it crashes
  int lead_moves = 0;  // another replica leads; the one before learns of it later
  int lead_lost = 0;   // and is led again by the same, or another
  int replica_dies = 0;
};

struct scenario {
  replica_options replica;
  std::size_t replicas = 1;
  habits writing;
  faults going_wrong;
  int steps = 500;
  bool reorders_confirms = true;
  bool delete_on_ack = false;
  // Fails from the start, and for ever.
  std::optional<model_broker::destination> broken;
  trouble broken_how = trouble::none;
  // How long a row may wait that nothing holds back, while one destination is broken.
  std::optional<std::chrono::milliseconds> patience;
};

// Little of everything, so that every limit is met; different for every seed.
inline replica_options small_and_varied(unsigned seed) {
  replica_options o;
  o.relay.max_in_flight = 1 + seed % 40;
  o.relay.batch_size = 1 + (seed * 7) % 60;
  o.relay.max_message_size = 1'000;
  o.relay.max_in_flight_bytes = seed % 5 == 0 ? 1'100 : 64u << 20;
  o.relay.retry_min = 20ms;
  o.relay.retry_max = 100ms;
  o.relay.poll_interval = 50ms;
  o.relay.look_at_pauses = 20ms;
  if (seed % 2 == 0) o.relay.read_span = 30 + seed % 60;
  o.relay.notify = seed % 4 != 1;
  // Little memory, so that keys are crowded out and read further later.
  o.least_capacity = seed % 3 == 0 ? 1'024 : 1;
  return o;
}

}  // namespace outboxd::simulation
