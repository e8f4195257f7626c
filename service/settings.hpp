// What outboxd is told by its environment, as typed values. load() is pure: it gets the variables
// as a map and reports every mistake at once. How each variable is called and read is in
// settings_table.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/secret.hpp"

namespace outboxd::service {

using environment = std::map<std::string, std::string, std::less<>>;

struct byte_size {
  std::uint64_t bytes = 0;
};

struct listen_address {
  std::string host;  // an IPv4 or IPv6 address, without brackets; empty: off
  std::uint16_t port = 0;

  bool is_off() const { return host.empty(); }
};

// Only programs of this host reach it.
bool is_loopback(const listen_address& where);

// "127.0.0.1:9654", "[::1]:9654"; nothing when it is neither.
std::optional<listen_address> parse_listen(std::string_view text);

struct settings {
  secret database_url;          // not set: libpq's own PG* variables
  secret migrate_database_url;  // the owner's connection; the same unless given
  secret amqp_url, amqp_username, amqp_password;
  std::string schema;
  std::size_t connections = 0, batch_size = 0, max_in_flight = 0;
  byte_size max_in_flight_bytes, max_message_size;
  std::string ordering, on_dead;
  std::chrono::milliseconds max_delay{0}, give_up_after{0};
  std::chrono::milliseconds confirm_timeout{0}, retry_min{0}, retry_max{0};
  std::string wake;  // "notify" or "poll"
  std::chrono::milliseconds poll_interval{0}, retention{0}, dead_retention{0};
  bool auto_migrate = false;
  listen_address http_listen, admin_listen;
  secret admin_token;
  std::chrono::milliseconds shutdown_timeout{0};
  std::string instance_id;  // empty: default_instance()
  std::string log_level, log_format;
};

// One line of `outboxd config`.
struct shown_setting {
  std::string name, value, origin;  // origin: the variable it was read from, or "default"
  bool is_default = true;
};

struct loaded_settings {
  settings values;
  std::vector<shown_setting> shown;   // in the table's order, secrets as ***
  std::vector<std::string> warnings;  // unknown names
  std::vector<std::string> cautions;  // values that work against each other
  std::vector<std::string> errors;    // values must not be used unless this is empty
};

loaded_settings load(const environment& env);

// POD_NAME, or the host's name and four hexadecimal digits, so that two processes of one host
// differ.
std::string default_instance(const environment& env, std::string_view host, std::uint16_t random);

}  // namespace outboxd::service
