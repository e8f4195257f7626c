#include "tests/support/broker_world.hpp"

namespace outboxd::tests {

void broker_world::start_through(int port, const sidecar::settings& more) {
  relay.reset();
  std::string url = amqp_url;
  const std::string direct = ":" + std::to_string(shared_rabbitmq().port()) + "/";
  url.replace(url.find(direct), direct.size(), ":" + std::to_string(port) + "/");
  relay = std::make_unique<sidecar>(db.url(), url, more);
  relay->await_ready();
}

void broker_world::insert(int count, const row_columns& columns) {
  db.run(
      "INSERT INTO \"outbox\".messages (exchange, routing_key, ordering_key, payload, headers, "
      "not_before) SELECT " +
      columns.exchange + ", " + columns.routing_key + ", " + columns.ordering_key + ", " +
      columns.payload + ", " + columns.headers + ", " + columns.not_before +
      " FROM generate_series(1, " + std::to_string(count) + ") AS n");
}

}  // namespace outboxd::tests
