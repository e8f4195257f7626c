// RabbitMQ URIs: amqp://user:password@host:port/vhost?heartbeat=15, with RabbitMQ's query
// parameters. https://www.rabbitmq.com/docs/uri-spec,
// https://www.rabbitmq.com/docs/uri-query-parameters
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace outboxd::relay::amqp {

enum class auth { plain, amqplain, external };

struct endpoint {
  bool tls = false;
  std::string host = "localhost";
  std::uint16_t port = 5672;
  std::string user = "guest";
  std::string password = "guest";
  std::string vhost = "/";
  auth mechanism = auth::plain;
  std::chrono::seconds heartbeat{15};
  std::chrono::milliseconds connection_timeout{30'000};
  std::uint16_t channel_max = 2047;
  std::uint32_t frame_max = 131'072;
  // TLS: verified against the system's authorities unless told otherwise.
  bool verify_peer = true;
  std::string ca_file, certificate_file, key_file;
  std::string server_name;  // SNI and the name that is verified; the host unless given

  // amqp://user:***@host:port/vhost: for logs, never the password.
  std::string redacted() const;
};

// Comma-separated URIs, one for each node of the cluster; at least one. The error names the part
// that is wrong and never quotes a password.
base::result<std::vector<endpoint>> parse_uris(std::string_view text);

}  // namespace outboxd::relay::amqp
