// The database fails over: a streaming stand-by is promoted under load, and both sides find it by a
// connection string with two hosts.
#include "tests/integration/database_fault.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;
using testing::Not;

class failover : public database_fault {
 protected:
  std::string database() const { return db.url().substr(db.url().rfind('/') + 1); }

  // Answers of the server that takes writes.
  std::string ask_primary(const std::string& sql) {
    pqxx::connection connection(url + "?target_session_attrs=read-write");
    return pqxx::nontransaction(connection).exec(sql)[0][0].c_str();
  }

  postgres_standby standby;
  std::string url = standby.uri_of_both(database());
};

// The stand-by had everything that was committed: nothing is lost, whatever the moment.
TEST_F(failover, a_promoted_stand_by_is_found_under_load) {
  ask("ALTER SYSTEM SET synchronous_standby_names = '*'");
  ask("SELECT pg_reload_conf()");
  const auto relay = start_ready(url, {{"OUTBOX_INSTANCE_ID", "first"}});
  const auto second = start(url, {{"OUTBOX_INSTANCE_ID", "second"}});
  writers load(url + "?target_session_attrs=read-write", 3);
  ASSERT_TRUE(eventually(30s, [&] {
    return relay->metric("outbox_messages_confirmed_total") >= 500;
  })) << relay->log();
  shared_postgres().kill();
  standby.promote();
  const auto before = load.committed();
  ASSERT_TRUE(eventually(30s, [&] { return load.committed() >= before + 100; }));
  const auto leading = [](const sidecar& s) { return s.metric("outbox_leader") == 1; };
  ASSERT_TRUE(eventually(30s, [&] { return leading(*relay) || leading(*second); }))
      << relay->log() << second->log();
  load.stop();
  ASSERT_TRUE(eventually(60s, [&] {
    return ask_primary("SELECT count(*) FROM outbox.messages WHERE status <> 'sent'") == "0";
  })) << relay->log();
  got.take_all(broker, "q");
  EXPECT_THAT(got.out_of_order, testing::IsEmpty());
  EXPECT_THAT(got.two_bodies, testing::IsEmpty());
  pqxx::connection connection(url + "?target_session_attrs=read-write");
  pqxx::nontransaction tx(connection);
  for (const auto& row : tx.exec("SELECT message_id, payload FROM outbox.messages"))
    EXPECT_TRUE(got.rows.contains(row[0].c_str())) << "lost: " << row[1].c_str();
  std::printf("%zu rows, %zu duplicates after a promotion\n", got.rows.size(), got.duplicates);
  EXPECT_THAT(relay->log(), Not(HasSubstr("row.failed")))
      << "a reason to reconnect, not an error of rows";
  shared_postgres().start();  // alone again, for those who come after
  ask("ALTER SYSTEM RESET synchronous_standby_names");
  ask("SELECT pg_reload_conf()");
}

}  // namespace
}  // namespace outboxd::tests
