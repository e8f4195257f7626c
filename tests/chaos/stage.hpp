// The servers of a run, the gates before them, and what an operator would do to them by hand. Each
// server and each gate belongs to one track of the plan: no two threads may call for the same one.
#pragma once

#include <pqxx/pqxx>

#include <memory>
#include <string>

#include "tests/chaos/plan.hpp"
#include "tests/chaos/topology.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/rabbitmq_cluster.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::chaos {

class stage {
 public:
  static constexpr std::size_t brokers_limit = 1'500'000;  // bytes of a body

  // Starts and fills the servers: half a minute, or a whole one.
  explicit stage(profile run);

  // Directly, for writers and consumers; through the gates, for sidecars. With several servers, the
  // database's URL finds the one that takes writes.
  const std::string& database_url() const { return database_url_; }
  const std::vector<std::string>& amqp_urls() const { return amqp_urls_; }
  const std::string& gated_database_url() const { return gated_database_url_; }
  const std::string& gated_amqp_url() const { return gated_amqp_url_; }

  // One before each server.
  std::vector<tests::tcp_gate*> broker_gates() const { return all(broker_gates_); }
  std::vector<tests::tcp_gate*> database_gates() const { return all(database_gates_); }

  // Null in a run of one broker and one database.
  tests::rabbitmq_cluster* cluster() { return cluster_.get(); }
  tests::postgres_standby* standby() { return standby_.get(); }

  // All servers run, and the stand-by follows.
  void start_everything();
  void declare_everything();

  // At any broker that answers.
  tests::amqp_probe probe() const;
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
  using gates = std::vector<std::unique_ptr<tests::tcp_gate>>;
  static std::vector<tests::tcp_gate*> all(const gates& of);

  std::string ctl(int node, const std::vector<std::string>& arguments) const;
  std::string ctl(const std::vector<std::string>& arguments) const { return ctl(0, arguments); }
  int nodes() const { return cluster_ ? tests::rabbitmq_cluster::nodes : 1; }
  void limit_messages(std::size_t bytes);
  void build_gates(const std::vector<int>& database_ports);

  std::unique_ptr<tests::rabbitmq_cluster> cluster_;
  tests::outbox_database database_;
  std::unique_ptr<tests::postgres_standby> standby_;
  std::vector<std::string> amqp_urls_;
  std::string database_url_, gated_database_url_, gated_amqp_url_;
  gates broker_gates_, database_gates_;
};

}  // namespace outboxd::chaos
