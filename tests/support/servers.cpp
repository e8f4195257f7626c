#include "tests/support/servers.hpp"

#include "tests/support/child_process.hpp"
#include "tests/support/scratch_directory.hpp"

#include <pqxx/pqxx>

#include <fstream>
#include <future>

namespace outboxd::tests {
namespace {

std::string servers_sh_in(const std::string& directory, const std::string& verb,
                          const std::vector<std::string>& arguments = {}) {
  command what{{servers_script(), verb, directory}};
  what.argv.insert(what.argv.end(), arguments.begin(), arguments.end());
  return run(what);
}

std::string servers_sh(const std::string& verb, const std::vector<std::string>& arguments = {}) {
  return servers_sh_in(scratch_directory().string(), verb, arguments);
}

void ask_server(const std::string& sql) {
  pqxx::connection connection(shared_postgres().uri("postgres"));
  pqxx::nontransaction(connection).exec(sql);
}

// "scheme://user:password@host:port/anything\n" up to and with the last slash.
std::string without_path(const std::string& uri) {
  return uri.substr(0, uri.rfind('/') + 1);
}

int port_of(const std::string& uri) {
  return std::stoi(uri.substr(uri.rfind(':') + 1));
}

}  // namespace

postgres_server::postgres_server()
    : base_(without_path(servers_sh("postgres-start"))), port_(port_of(base_)) {}

std::string postgres_server::uri(const std::string& database) const {
  return base_ + database;
}

std::string postgres_server::create_database(const std::string& how) {
  const std::string name = "test_" + std::to_string(++databases_);
  pqxx::connection connection(uri("postgres"));
  pqxx::nontransaction(connection).exec("CREATE DATABASE " + name + " " + how);
  return uri(name);
}

void postgres_server::stop(stop_mode mode) {
  servers_sh("postgres-stop", {mode == stop_mode::fast ? "fast" : "immediate"});
}

void postgres_server::kill() {
  servers_sh("postgres-kill");
}

void postgres_server::start() {
  servers_sh("postgres-start");
}

// The setting is copied with everything else, and so holds for whoever comes to lead.
postgres_standby::postgres_standby(bool synchronous) {
  if (synchronous) ask_server("ALTER SYSTEM SET synchronous_standby_names = '*'");
  port_ = port_of(servers_sh_in(directory_of(1), "postgres-join"));
  if (synchronous) ask_server("SELECT pg_reload_conf()");
}

std::string postgres_standby::directory_of(int server) const {
  return server == 0 ? scratch_directory().string() : (scratch_directory() / "standby").string();
}

std::string postgres_standby::uri_of_both(const std::string& database) const {
  std::string uri = shared_postgres().uri(database);
  return uri.insert(uri.rfind('/'), ",127.0.0.1:" + std::to_string(port_));
}

void postgres_standby::promote() {
  servers_sh_in(directory_of(1 - primary_), "postgres-promote");
  primary_ = 1 - primary_;
}

void postgres_standby::fail_over() {
  alone_ = true;
  servers_sh_in(directory_of(primary_), "postgres-kill");
  promote();
}

void postgres_standby::rejoin() {
  if (!alone_) return;
  servers_sh_in(directory_of(1 - primary_), "postgres-join", {directory_of(primary_)});
  alone_ = false;
}

pgbouncer::pgbouncer() {
  shared_postgres();
  base_ = without_path(servers_sh("pgbouncer-start"));
}

rabbitmq_server::rabbitmq_server()
    : base_(without_path(servers_sh("rabbitmq-start"))), port_(port_of(base_)) {}

std::string rabbitmq_server::url(const std::string& vhost) const {
  return base_ + (vhost == "/" ? "%2f" : vhost);
}

// Some at once, because every call of rabbitmqctl boots a virtual machine of its own.
std::string rabbitmq_server::create_vhost() {
  if (spare_vhosts_.empty()) {
    constexpr int batch = 8;
    std::string vhosts, permissions;
    for (int i = 0; i < batch; ++i) {
      const std::string name = "test_" + std::to_string(++vhosts_);
      spare_vhosts_.push_back(name);
      const char* comma = i == 0 ? "" : ",";
      vhosts += comma + ("{\"name\":\"" + name + "\"}");
      permissions += comma + ("{\"user\":\"outboxd\",\"vhost\":\"" + name +
                              R"(","configure":".*","write":".*","read":".*"})");
    }
    const auto file = scratch_directory() / "vhosts.json";
    std::ofstream(file) << R"({"vhosts":[)" << vhosts << R"(],"permissions":[)" << permissions
                        << "]}";
    ctl({"import_definitions", file.string()});
  }
  std::string name = spare_vhosts_.front();
  spare_vhosts_.pop_front();
  return name;
}

std::string rabbitmq_server::ctl(const std::vector<std::string>& arguments) const {
  return servers_sh("rabbitmq-ctl", arguments);
}

void rabbitmq_server::limit_message_size(std::size_t bytes) const {
  ctl({"eval", message_size_limit(bytes)});
}

void rabbitmq_server::stop() {
  servers_sh("rabbitmq-stop");
}

void rabbitmq_server::kill() {
  servers_sh("rabbitmq-kill");
}

void rabbitmq_server::start() {
  servers_sh("rabbitmq-start");
}

// RabbitMQ 3 asks for the first one when a channel is opened, RabbitMQ 4 for the second one always.
std::string message_size_limit(std::size_t bytes) {
  const std::string limit = std::to_string(bytes);
  return "application:set_env(rabbit, max_message_size, " + limit +
         "), persistent_term:put(max_message_size, " + limit + ").";
}

postgres_server& shared_postgres() {
  static postgres_server server;
  return server;
}

rabbitmq_server& shared_rabbitmq() {
  static rabbitmq_server server;
  return server;
}

void start_shared_servers() {
  auto postgres = std::async(std::launch::async, [] { shared_postgres(); });
  shared_rabbitmq();
  postgres.get();
}

}  // namespace outboxd::tests
