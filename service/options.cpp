#include "service/options.hpp"

#include "service/broker_nodes.hpp"
#include "service/version.hpp"

namespace outboxd::service {

relay::options relay_options(const settings& s) {
  relay::options o;
  o.batch_size = s.batch_size;
  o.max_in_flight = s.max_in_flight;
  o.max_in_flight_bytes = s.max_in_flight_bytes.bytes;
  o.max_message_size = s.max_message_size.bytes;
  o.retry_min = s.retry_min;
  o.retry_max = s.retry_max;
  o.give_up_after = s.give_up_after;
  o.max_delay = s.max_delay;
  o.pipelined = s.ordering == "pipelined";
  o.block_on_dead = s.on_dead == "block";
  o.poll_interval = s.poll_interval;
  o.notify = s.wake == "notify";
  o.retention = s.retention;
  o.dead_retention = s.dead_retention;
  return o;
}

relay::amqp::publisher_options publisher_options(const settings& s, const std::string& instance) {
  relay::amqp::publisher_options o;
  o.nodes = [s] { return broker_nodes(s); };
  o.lanes = s.connections;
  o.connection_name = "outboxd:" + instance;
  o.version = version();
  o.confirm_timeout = s.confirm_timeout;
  o.max_message_size = s.max_message_size.bytes;
  return o;
}

namespace {

// Asked before each connect. A file that cannot be read now is a failed connect: logged, tried
// again.
std::function<std::string()> url_of(const secret& s) {
  return [s] { return s.value().value(); };
}

std::function<void(std::string_view, std::chrono::microseconds)> counting(metrics& m) {
  return [&m](std::string_view operation, std::chrono::microseconds took) {
    m.db_query(operation, took);
  };
}

}  // namespace

outbox::pg_options database_options(const settings& s, const std::string& instance, metrics& m) {
  outbox::pg_options o;
  o.url = url_of(s.database_url);
  o.schema = s.schema;
  o.application_name = instance;
  o.delete_on_ack = s.retention.count() == 0;
  o.keep_dead_keys = s.on_dead == "block";
  o.on_query = counting(m);
  o.on_reconnect = [&m] { m.db_reconnected(); };
  return o;
}

outbox::lead_options lead_options(const settings& s, const std::string& instance, metrics& m) {
  outbox::lead_options o;
  o.url = url_of(s.database_url);
  o.schema = s.schema;
  o.application_name = o.instance = instance;
  o.listen = s.wake == "notify";
  o.on_query = counting(m);
  o.on_reconnect = [&m] { m.db_reconnected(); };
  o.on_schema_version = [&m](int version) { m.schema_version(version); };
  return o;
}

log_options logging_options(const settings& s, const std::string& instance, bool terminal,
                            metrics& m) {
  log_options o;
  o.lowest = to_severity(s.log_level);
  o.format = to_log_format(s.log_format, terminal);
  o.instance = instance;
  o.on_line = [&m](base::severity level) { m.logged(level); };
  return o;
}

base::result<outbox::check_options> database_check_options(const settings& s) {
  const auto url = s.database_url.value();
  if (!url) return url.error();
  outbox::check_options o;
  o.url = *url;
  o.schema = s.schema;
  return o;
}

base::result<outbox::migrate_options> migration_options(const settings& s) {
  const auto url = s.migrate_database_url.value();
  if (!url) return url.error();
  outbox::migrate_options o;
  o.url = *url;
  o.schema = s.schema;
  return o;
}

}  // namespace outboxd::service
