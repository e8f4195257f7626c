#include "tests/chaos/stage.hpp"

#include <fstream>
#include <sstream>

#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::chaos {
namespace {

using tests::shared_postgres;
using tests::shared_rabbitmq;

// The sidecars' login, whose permissions come and go.
constexpr const char* user = "relay";

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}

std::string port(int number) {
  return ":" + std::to_string(number) + "/";
}

// Now for connections to come, and in a file for the broker's next life.
void limit_messages(std::size_t bytes) {
  std::ofstream(tests::scratch_directory() / "rabbitmq/conf.d/10-chaos.conf")
      << "max_message_size = " << bytes << "\n";
  shared_rabbitmq().ctl(
      {"eval", "application:set_env(rabbit, max_message_size, " + std::to_string(bytes) + ")."});
}

}  // namespace

stage::stage() : database_((tests::start_shared_servers(), "outbox")) {
  database_url_ = database_.url();
  amqp_url_ = shared_rabbitmq().url("/");
  limit_messages(brokers_limit);
  shared_rabbitmq().ctl({"add_user", user, user});
  allow_writing(".*");
  tests::amqp_probe declaring = probe();
  declare_everything(declaring);
  sync_declarations();

  broker_gate_ = std::make_unique<tests::tcp_gate>(shared_rabbitmq().port());
  database_gate_ = std::make_unique<tests::tcp_gate>(shared_postgres().port());
  gated_database_url_ =
      replaced(database_url_, port(shared_postgres().port()), port(database_gate_->port()));
  gated_amqp_url_ = std::string("amqp://") + user + ":" + user + "@127.0.0.1" +
                    port(broker_gate_->port()) + "%2f";
}

void stage::sync_declarations() {
  shared_rabbitmq().ctl({"eval", "mnesia:sync_log(), [dets:sync(T) || T <- dets:all()]."});
}

void stage::set_alarm(bool on) {
  shared_rabbitmq().ctl({"set_vm_memory_high_watermark", on ? "0.00000001" : "0.4"});
}

void stage::allow_writing(const std::string& pattern) {
  shared_rabbitmq().ctl({"set_permissions", "-p", "/", user, ".*", pattern, ".*"});
}

void stage::close_connections() {
  shared_rabbitmq().ctl({"close_all_user_connections", user, "chaos"});
}

std::size_t stage::queued() const {
  std::istringstream counts(
      shared_rabbitmq().ctl({"list_queues", "-p", "/", "messages", "--no-table-headers"}));
  std::size_t all = 0;
  for (std::size_t n = 0; counts >> n;) all += n;
  return all;
}

std::string stage::value(const std::string& sql) const {
  pqxx::connection connection(database_url_);
  const auto rows = pqxx::nontransaction(connection).exec(sql);
  return rows.empty() || rows[0][0].is_null() ? "" : rows[0][0].c_str();
}

void stage::terminate_backends() {
  value(
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
}

}  // namespace outboxd::chaos
