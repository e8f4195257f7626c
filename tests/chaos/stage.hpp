// The servers of a run, the gates before them, and what an operator would do to them by hand. Each
// server and each gate belongs to one track of the plan: no two threads may call for the same one.
#pragma once

#include <pqxx/pqxx>

#include <memory>
#include <string>

#include "tests/chaos/topology.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::chaos {

class stage {
 public:
  static constexpr std::size_t brokers_limit = 1'500'000;  // bytes of a body

  // Starts and fills the servers: half a minute.
  stage();

  // Directly, for writers and consumers; through the gates, for sidecars.
  const std::string& database_url() const { return database_url_; }
  const std::string& amqp_url() const { return amqp_url_; }
  const std::string& gated_database_url() const { return gated_database_url_; }
  const std::string& gated_amqp_url() const { return gated_amqp_url_; }

  tests::tcp_gate& broker_gate() { return *broker_gate_; }
  tests::tcp_gate& database_gate() { return *database_gate_; }

  tests::amqp_probe probe() const { return tests::amqp_probe(amqp_url_); }
  // What was declared just now survives a kill -9 from here on; else RabbitMQ 3.10 may forget it.
  void sync_declarations();
  void set_alarm(bool on);
  // An Erlang regular expression of the exchanges that the sidecars may publish to.
  void allow_writing(const std::string& pattern);
  void close_connections();
  // Ready and unacked messages of all queues.
  std::size_t queued() const;

  // One value, as text; empty where there is none.
  std::string value(const std::string& sql) const;
  void terminate_backends();

 private:
  tests::outbox_database database_;
  std::string database_url_, amqp_url_, gated_database_url_, gated_amqp_url_;
  std::unique_ptr<tests::tcp_gate> broker_gate_, database_gate_;
};

}  // namespace outboxd::chaos
