// What a run leaves behind, as plain values: what writers wrote, what consumers got, what stands in
// the table at the end, and what was done to the servers meanwhile. The checker reads nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace outboxd::chaos {

// Since the start of the run; one clock for writers, consumers and faults.
using moment = std::chrono::milliseconds;

// What is wrong with a row on purpose.
enum class poison {
  none,
  invalid,      // headers that no AMQP table can hold: dead at once
  refused,      // over the broker's limit: dead once the broker has refused it
  too_large,    // over OUTBOX_MAX_MESSAGE_SIZE: dead at once
  no_exchange,  // the exchange never exists: waits
  unroutable    // nothing is ever bound for it: waits
};

constexpr bool ends_dead(poison p) {
  return p == poison::invalid || p == poison::refused || p == poison::too_large;
}

// Of the transaction around a row, by the ledger that was committed with it.
enum class fate {
  committed,
  rolled_back,
  forgotten  // committed with synchronous_commit = off, and gone after a crash: may have been sent
};

struct written_row {
  std::string message_id = {};
  std::int64_t id = 0;
  std::optional<std::string> key = {};
  std::vector<std::string> queues = {};  // where it has to arrive; none for poison
  std::uint64_t body_hash = 0;
  std::size_t body_size = 0;
  fate outcome = fate::committed;
  poison bad = poison::none;
  std::optional<moment> not_before = {};  // scheduled: takes its place in its key when it is due
  moment at{0};                           // when its transaction ended
};

struct delivery {
  std::string queue, message_id;
  std::int64_t id = 0;  // x-outbox-id
  std::optional<std::string> key = {};
  bool redelivered = false;  // by the broker: not one of ours
  std::uint64_t body_hash = 0;
  moment at{0};
};

struct table_row {
  std::string message_id = {}, status = {}, last_error = {};
  std::int64_t id = 0;
};

// Something that may cost duplicates, with how many at most.
struct incident {
  std::string kind;
  moment from{0}, to{0};
  std::size_t allowance = 0;
};

struct facts {
  std::vector<written_row> written = {};
  std::vector<delivery> deliveries = {};
  std::vector<table_row> table = {};
  bool keeps_sent = true;   // false: a row is deleted as soon as it is confirmed
  bool keeps_order = true;  // false: pipelined, where a later row may overtake one that failed
  std::vector<incident> incidents = {};
  std::set<std::string> lossy_queues = {};  // deleted during the run: a confirmed row may be gone
  std::vector<std::string> crashes = {};    // sidecars that ended although nobody told them to
};

}  // namespace outboxd::chaos
