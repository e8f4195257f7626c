// Everything the demo runs: a PostgreSQL with two databases, a RabbitMQ, two services and the
// sidecar of each. Built up by the constructor, taken down by the destructor. Of the servers one
// thread at a time may ask something.
#pragma once

#include "examples/user_card/demo/options.hpp"
#include "examples/user_card/demo/process.hpp"
#include "tests/support/servers.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace user_card::demo {

using narrator = std::function<void(const std::string&)>;

// What belongs to one of the services. Its database and its login bear the service's name.
struct side {
  std::string service;
  std::string admin_database;  // URI for the superuser,
  std::string database;        // for the service,
  std::string relay_database;  // and for its sidecar
  int http_port = 0;           // of the sidecar: metrics and status
};

// Starts both servers, side by side.
class servers {
 public:
  servers();

  outboxd::tests::postgres_server& postgres;
  outboxd::tests::rabbitmq_server& rabbitmq;

  std::string amqp_url() const { return rabbitmq.url("/"); }
  std::string management_page() const;  // with login
  // Messages of each queue, those delivered and not acked included.
  std::map<std::string, std::int64_t> queue_lengths() const;
  // Saves their logs from being removed with them.
  void copy_logs(const std::filesystem::path& to) const;
};

class stage {
 public:
  stage(const options& chosen, const std::filesystem::path& logs, const narrator& say);

  servers running;
  const side users;
  const side cards;

  process user_service;
  process user_sidecar;
  process card_service;
  process card_sidecar;

  std::vector<process*> everybody() {
    return {&user_service, &user_sidecar, &card_service, &card_sidecar};
  }
};

}  // namespace user_card::demo
