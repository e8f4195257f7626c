// A PgBouncer in transaction mode: the services that write may use it, outboxd may not.
#include <thread>

#include "tests/integration/database_fault.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;

class pooler : public database_fault {
 protected:
  std::string pooled_url() const { return bouncer().uri(db.url().substr(db.url().rfind('/') + 1)); }

 private:
  static const pgbouncer& bouncer() {
    static const pgbouncer one;
    return one;
  }
};

// More writers than the pooler has sessions, so that each transaction may get another one. The
// relay is idle at first, and polls once a minute: it is the pooled writers who wake it.
TEST_F(pooler, writers_may_be_behind_it) {
  const auto relay = start_ready(db.url());
  constexpr int threads = 12, transactions = 50;
  std::vector<std::thread> services;
  services.reserve(threads);
  for (int t = 0; t < threads; ++t) {
    services.emplace_back([&, t] {
      pqxx::connection connection(pooled_url());
      for (int n = 0; n < transactions; ++n) {
        pqxx::work tx(connection);
        tx.exec("INSERT INTO outbox.messages (routing_key, ordering_key, payload) VALUES ('q', 'k" +
                std::to_string(t) + "', '" + std::to_string(n) + "')");
        if (n % 5 == 4) {
          tx.abort();
        } else {
          tx.commit();
        }
      }
    });
  }
  for (std::thread& t : services) t.join();
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.rows.size(), static_cast<std::size_t>(threads * transactions * 4 / 5));
  EXPECT_EQ(got.duplicates, 0u);
}

TEST_F(pooler, before_outboxd_it_is_refused_with_a_message_that_says_what_to_do) {
  insert(1);
  const auto relay = start(pooled_url());
  ASSERT_TRUE(eventually(30s, [&] {
    return relay->get("/readyz?verbose").find("connection pooler") != std::string::npos;
  })) << relay->log();
  EXPECT_THAT(relay->log(), HasSubstr("let OUTBOX_DATABASE_URL name the PostgreSQL server itself"));
  EXPECT_EQ(relay->metric("outbox_leader"), 0);
  EXPECT_EQ(unsent(), 1);
  // What it asked before it knew has left nothing in the pooled sessions.
  pqxx::connection connection(pooled_url());
  pqxx::nontransaction tx(connection);
  EXPECT_EQ(tx.exec("SHOW search_path")[0][0].as<std::string>(), "\"$user\", public");
  EXPECT_EQ(tx.exec("SHOW idle_session_timeout")[0][0].as<std::string>(), "0");
}

}  // namespace
}  // namespace outboxd::tests
