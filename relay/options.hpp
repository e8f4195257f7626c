// What the relay may be told. The defaults are those of the reference
// (docs/reference/configuration.md).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace outboxd::relay {

struct options {
  std::size_t batch_size = 1000;                        // rows per read
  std::int64_t read_span = 1'000'000;                   // ids per read, where they are bounded
  std::size_t max_in_flight = 2048;                     // unconfirmed messages, all lanes together
  std::size_t max_in_flight_bytes = 64u << 20;          // payload bytes held in memory
  std::size_t max_message_size = 16u << 20;             // larger bodies are dead, reason too_large
  std::chrono::milliseconds retry_min{500};             // back-off of a failed row, first
  std::chrono::milliseconds retry_max{60'000};          // and longest
  std::chrono::milliseconds give_up_after{0};           // a failing row is dead then; 0: never
  std::chrono::milliseconds max_delay{0};               // scheduled further away: dead; 0: no limit
  bool pipelined = false;                               // OUTBOX_ORDERING
  bool block_on_dead = false;                           // OUTBOX_ON_DEAD: a dead row holds its key
  std::chrono::milliseconds poll_interval{1'000};       // when idle
  std::chrono::milliseconds look_at_pauses{800};        // what operators stop, stops in a second
  bool notify = true;                                   // false: OUTBOX_WAKE=poll, no wake lock
  std::chrono::milliseconds retention{24 * 3'600'000};  // 0: rows are deleted on ack, no purge
  std::chrono::milliseconds dead_retention{30ll * 24 * 3'600'000};
};

}  // namespace outboxd::relay
