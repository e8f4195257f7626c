// libpqxx 6.4 (Debian 12) and 7.x (everything newer) through one set of names. Only what differs.
#pragma once

#include <pqxx/pqxx>

#include <string>
#include <utility>

#include "outbox/pg_binary.hpp"

namespace outboxd::outbox::compat {

// Each of these is the only spelling that every version has, and deprecated in some of them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

// 6.x reconnects silently inside the next statement: a new session, without our locks and settings.
inline void never_reconnect([[maybe_unused]] pqxx::connection& connection) {
#if PQXX_VERSION_MAJOR < 7
  connection.inhibit_reactivation(true);
#endif
}

template <typename T>
const T& parameter(const T& value) {
  return value;
}
inline pqxx::binarystring parameter(const binary_parameter& value) {
  return pqxx::binarystring(value.bytes);
}

template <typename... Args>
pqxx::result exec_prepared(pqxx::transaction_base& tx, const std::string& name,
                           const Args&... args) {
  return tx.exec_prepared(name, parameter(args)...);
}

// Listens from construction on; counts what arrives.
class listener final : public pqxx::notification_receiver {
 public:
  listener(pqxx::connection& connection, const std::string& channel)
      : pqxx::notification_receiver(connection, channel) {}

  void operator()(const std::string&, int) override { ++count_; }

  int take() { return std::exchange(count_, 0); }

 private:
  int count_ = 0;
};

#pragma GCC diagnostic pop

}  // namespace outboxd::outbox::compat
