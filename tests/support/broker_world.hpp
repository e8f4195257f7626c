// An outbox, a broker and the binary between them, with a gate before the broker: what the tests of
// failing destinations share. One thread at a time.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/queue_contents.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::tests {

// The columns of many rows at once: SQL expressions over n, which counts from 1.
struct row_columns {
  std::string exchange = "''";
  std::string routing_key = "'q'";
  std::string ordering_key = "NULL";
  std::string payload = "n::text";
  std::string headers = "NULL::jsonb";
  std::string not_before = "NULL::timestamptz";
};

class broker_world {
 public:
  // With the queue "q", and nothing else.
  broker_world() { broker.declare_queue("q"); }

  // The relay goes through the gate, or through whatever listens on that port instead.
  void start(const sidecar::settings& more = {}) { start_through(gate.port(), more); }
  void start_through(int port, const sidecar::settings& more = {});

  // One transaction.
  void insert(int count, const row_columns& columns = {});

  int count(const std::string& condition) {
    return std::stoi(db.value("SELECT count(*) FROM \"outbox\".messages WHERE " + condition));
  }
  bool any(const std::string& condition) {
    return db.value("SELECT EXISTS (SELECT FROM \"outbox\".messages WHERE " + condition + ")") ==
           "t";
  }
  bool all_sent_within(std::chrono::milliseconds limit) {
    return eventually(limit, [this] { return !any("status IN ('pending', 'deferred')"); });
  }
  std::uint32_t depth(const std::string& queue) { return broker.queue(queue).value().messages; }
  bool arrive_within(std::chrono::milliseconds limit, const std::string& queue,
                     std::uint32_t messages) {
    return eventually(limit, [&] { return depth(queue) >= messages; });
  }

  // What its /metrics say.
  double published() { return relay->metric("outbox_messages_published_total"); }
  double failed(const std::string& reason) {
    return relay->metric("outbox_messages_failed_total{reason=\"" + reason + "\"}");
  }
  double unknown(const std::string& reason) {
    return relay->metric("outbox_messages_unknown_total{reason=\"" + reason + "\"}");
  }

  outbox_database db;
  const std::string vhost = shared_rabbitmq().create_vhost();
  const std::string amqp_url = shared_rabbitmq().url(vhost);
  tcp_gate gate{shared_rabbitmq().port()};
  amqp_probe broker{amqp_url};
  std::unique_ptr<sidecar> relay;
};

}  // namespace outboxd::tests
