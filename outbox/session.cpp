#include "outbox/session.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "outbox/db_failure.hpp"
#include "outbox/open_connection.hpp"
#include "outbox/pg_text.hpp"

namespace outboxd::outbox {
namespace {

// What the user's role or database may have set otherwise, and we cannot work with.
const session_settings& always() {
  static const session_settings settings{
      {"bytea_output", "hex"},                // what our decoder reads
      {"search_path", "pg_catalog"},          // our statements name the schema themselves
      {"standard_conforming_strings", "on"},  // what our quoting assumes
      {"default_transaction_isolation", "read committed"},  // fences and retries count on it
      {"client_min_messages", "error"},                     // libpqxx prints notices to stderr
      {"jit", "off"},  // cost estimates are off by orders of magnitude here; compiling costs more
                       // than running
      {"idle_in_transaction_session_timeout",
       "10s"},  // a process that was stopped must not keep row locks
  };
  return settings;
}

void apply(pqxx::connection& connection, const session_settings& settings) {
  std::vector<std::string> names;
  std::vector<std::string> values;
  for (const auto& list : {always(), settings}) {
    for (const auto& [name, value] : list) {
      names.push_back(name);
      values.push_back(value);
    }
  }
  // One round trip.
  connection.prepare(
      "settings",
      "SELECT set_config(s.name, s.value, false)"
      "  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (name, value, position)"
      " ORDER BY s.position");
  pqxx::nontransaction tx(connection);
  compat::exec_prepared(tx, "settings", text_array(names), text_array(values));
}

}  // namespace

session_socket::session_socket(int borrowed) : descriptor_(::fcntl(borrowed, F_DUPFD_CLOEXEC, 0)) {
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "dup");
}

session_socket::~session_socket() {
  ::close(descriptor_);
}

void session_socket::shut_down() const {
  ::shutdown(descriptor_, SHUT_RDWR);
}

std::optional<session_socket::time_point> session_socket::waiting_since() const {
  const auto since = waiting_since_.load();
  if (since == nobody_waits) return std::nullopt;
  return time_point(time_point::duration(since));
}

awaited_answer::awaited_answer(session_socket& socket) : socket_(socket) {
  socket_.waiting_since_ = std::chrono::steady_clock::now().time_since_epoch().count();
}

awaited_answer::~awaited_answer() {
  socket_.waiting_since_ = session_socket::nobody_waits;
}

session::session(const std::string& conninfo, const session_settings& settings,
                 const on_connected& connected)
    : connection_(open_connection(conninfo)) {
  compat::never_reconnect(connection_);
  if (connection_.server_version() < 140000) {
    throw unusable_server("PostgreSQL 14 or newer is needed, this is " + server_version());
  }
  socket_ = std::make_shared<session_socket>(connection_.sock());
  if (connected) connected(socket_);
  const awaited_answer waiting(*socket_);
  expect_usable();
  apply(connection_, settings);
}

// A pooler tells its clients process ids of its own invention. Behind it the next transaction may
// run in another backend: without our locks, our settings (which would stay there, for somebody
// else) and our prepared statements. Hence before anything is set or prepared.
void session::expect_usable() {
  pqxx::nontransaction tx(connection_);
  const auto server = tx.exec(
      "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_encoding')")[0];
  if (server[0].as<int>() != connection_.backendpid()) {
    throw pooler_in_between(
        "there is a connection pooler (such as PgBouncer) in between: let OUTBOX_DATABASE_URL name "
        "the PostgreSQL server itself; services that write may use the pooler");
  }
  expect_utf8(server[1].c_str());
}

session::~session() {
  // The listener would say UNLISTEN and wait for the answer. The server ends a session whose client
  // is gone just as well, and at once.
  if (listener_) socket_->shut_down();
}

std::string session::server_version() const {
  const int number = connection_.server_version();
  return std::to_string(number / 10000) + "." + std::to_string(number % 10000);
}

void session::listen(const std::string& channel) {
  const awaited_answer waiting(*socket_);
  listener_ = std::make_unique<compat::listener>(connection_, channel);
  expect_open();  // libpqxx 6 says nothing when the server answers by ending the session
}

void session::expect_open() const {
  if (!connection_.is_open()) throw pqxx::broken_connection("the server ended the session");
}

int session::take_notifications() {
  expect_open();
  connection_.get_notifs();
  return listener_ ? listener_->take() : 0;
}

}  // namespace outboxd::outbox
