// Secrets change while everything runs: outboxd is told of it by nobody, and reads its files again
// with its next connection.
#include <filesystem>

#include "tests/integration/database_fault.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::tests {
namespace {

class rotation : public database_fault {
 protected:
  rotation() {
    ask("CREATE ROLE " + login + " LOGIN IN ROLE outbox_relay");
    shared_rabbitmq().ctl({"add_user", login, "not yet"});
    const std::string vhost = amqp_url.substr(amqp_url.rfind('/') + 1);
    shared_rabbitmq().ctl({"set_permissions", "-p", vhost, login, ".*", ".*", ".*"});
    rotate();
  }

  // In the files first: who connects in between is refused, and tries again.
  void rotate() {
    const std::string secret = "secret-" + std::to_string(++rotations_);
    replace_file(database_file, database_url(secret) + "\n");
    replace_file(broker_file, secret + "\n");
    ask("ALTER ROLE " + login + " PASSWORD '" + secret + "'");
    shared_rabbitmq().ctl({"change_password", login, secret});
  }

  void close_everything() {
    ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '" + login +
        "'");
    shared_rabbitmq().ctl({"close_all_user_connections", login, "rotation"});
  }

  // The server's URL with another login.
  std::string database_url(const std::string& password) const {
    const std::string& url = db.url();
    return "postgresql://" + login + ":" + password + url.substr(url.find('@'));
  }
  std::string broker_url() const {
    return "amqp://" + login + ":overridden" + amqp_url.substr(amqp_url.find('@'));
  }

  const std::string login = "rotating";
  const std::filesystem::path database_file = scratch_directory() / "database.url";
  const std::filesystem::path broker_file = scratch_directory() / "broker.password";

 private:
  int rotations_ = 0;
};

TEST_F(rotation, passwords_may_change_under_load) {
  const auto relay = std::make_unique<sidecar>(
      "", broker_url(),
      sidecar::settings{{"OUTBOX_DATABASE_URL_FILE", database_file.string()},
                        {"OUTBOX_AMQP_PASSWORD_FILE", broker_file.string()}});
  relay->await_ready();
  writers load(db.url(), 2);
  const int rotations = scaled(3, 20);
  for (int n = 0; n < rotations; ++n) {
    rotate();
    close_everything();
    const double before = relay->metric("outbox_messages_confirmed_total");
    ASSERT_TRUE(eventually(
        30s, [&] { return relay->metric("outbox_messages_confirmed_total") >= before + 100; }))
        << relay->get("/readyz?verbose") << relay->log();
  }
  EXPECT_GE(relay->metric("outbox_db_reconnects_total"), rotations);
  EXPECT_TRUE(relay->running());
  for (int n = 1; n <= rotations + 1; ++n)
    EXPECT_EQ(relay->log().find("secret-" + std::to_string(n)), std::string::npos);
  expect_everything_delivered(*relay, &load);
}

}  // namespace
}  // namespace outboxd::tests
