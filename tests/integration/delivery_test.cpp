// What a row says is what a consumer gets: every property, every type of header, every byte; and no
// row of a transaction that did not commit. The binary between a real database and a real broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::Optional;

class delivery : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  delivery() {
    broker.declare_queue("q");
    relay.await_ready();
  }

  std::vector<amqp_message> delivered(std::size_t count, std::chrono::milliseconds limit = 20s) {
    return broker.get_many("q", count, limit);
  }

  void await_idle() {
    EXPECT_TRUE(eventually(30s, [&] {
      return db.value(
                 "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND mode "
                 "= 'ExclusiveLock'") == "1";
    })) << "not idle";
  }

  amqp_message only() {
    auto all = delivered(1);
    if (all.size() != 1) throw std::runtime_error("nothing was delivered\n" + relay.log());
    return all[0];
  }

  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  amqp_probe broker{amqp_url};
  sidecar relay{db.url(), amqp_url};
};

TEST_F(delivery, every_column_becomes_its_amqp_property) {
  broker.declare_exchange("events", "topic");
  broker.bind("q", "events", "user.#");
  const auto row = db.run(
      "INSERT INTO \"outbox\".messages (exchange, routing_key, ordering_key, payload, "
      "content_type, "
      "content_encoding, type, correlation_id, reply_to, app_id, priority, expiration_ms) VALUES "
      "('events', 'user.created', 'user-7', '{\"id\": 7}', 'application/vnd.user+json', "
      "'identity', "
      "'user.created', 'corr-1', 'replies', 'users', 9, 60000) "
      "RETURNING id, message_id, floor(extract(epoch FROM created_at))::bigint");
  const auto m = only();
  EXPECT_EQ(m.exchange, "events");
  EXPECT_EQ(m.routing_key, "user.created");
  EXPECT_EQ(m.body, "{\"id\": 7}");
  EXPECT_THAT(m.properties.content_type, Optional(std::string("application/vnd.user+json")));
  EXPECT_THAT(m.properties.content_encoding, Optional(std::string("identity")));
  EXPECT_THAT(m.properties.type, Optional(std::string("user.created")));
  EXPECT_THAT(m.properties.correlation_id, Optional(std::string("corr-1")));
  EXPECT_THAT(m.properties.reply_to, Optional(std::string("replies")));
  EXPECT_THAT(m.properties.app_id, Optional(std::string("users")));
  EXPECT_THAT(m.properties.priority, Optional(9));
  EXPECT_THAT(m.properties.expiration, Optional(std::string("60000")));
  EXPECT_THAT(m.properties.delivery_mode, Optional(2));
  EXPECT_THAT(m.properties.message_id, Optional(std::string(row[0][1].c_str())));
  EXPECT_THAT(m.properties.timestamp, Optional(row[0][2].as<std::uint64_t>()));
  EXPECT_EQ(m.properties.user_id, std::nullopt);
  EXPECT_THAT(m.header("x-outbox-id"), Optional(amqp_value::int64(row[0][0].as<std::int64_t>())));
  EXPECT_THAT(m.header("x-outbox-key"), Optional(amqp_value::text("user-7")));
}

TEST_F(delivery, what_is_null_is_absent_and_the_content_type_follows_the_payload) {
  db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', '{}')");
  const auto text = only();
  EXPECT_THAT(text.properties.content_type, Optional(std::string("application/json")));
  EXPECT_EQ(text.properties.type, std::nullopt);
  EXPECT_EQ(text.properties.priority, std::nullopt);
  EXPECT_EQ(text.properties.expiration, std::nullopt);
  EXPECT_EQ(text.header("x-outbox-key"), std::nullopt);
  db.run("INSERT INTO \"outbox\".messages (routing_key, payload_bytes) VALUES ('q', '\\x00ff')");
  EXPECT_THAT(only().properties.content_type, Optional(std::string("application/octet-stream")));
}

TEST_F(delivery, headers_keep_their_json_types) {
  db.run(R"(INSERT INTO "outbox".messages (routing_key, payload, headers) VALUES ('q', '{}',
            '{"s": "text", "i": -9223372036854775808, "f": 0.1, "b": true, "n": null,
              "o": {"deep": {"er": 1}}, "a": [1, "two", null, [false]]}'))");
  const auto m = only();
  EXPECT_THAT(m.header("s"), Optional(amqp_value::text("text")));
  EXPECT_THAT(m.header("i"), Optional(amqp_value::int64(std::numeric_limits<std::int64_t>::min())));
  EXPECT_THAT(m.header("f"), Optional(amqp_value::real(0.1)));
  EXPECT_THAT(m.header("b"), Optional(amqp_value::boolean(true)));
  EXPECT_THAT(m.header("n"), Optional(amqp_value::nothing()));
  EXPECT_THAT(
      m.header("o"),
      Optional(amqp_value::table({{"deep", amqp_value::table({{"er", amqp_value::int64(1)}})}})));
  EXPECT_THAT(m.header("a"),
              Optional(amqp_value::array({amqp_value::int64(1), amqp_value::text("two"),
                                          amqp_value::nothing(),
                                          amqp_value::array({amqp_value::boolean(false)})})));
}

TEST_F(delivery, bodies_arrive_byte_for_byte_from_none_to_many_megabytes) {
  std::mt19937 engine(7);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65'536},
                                 std::size_t{65'537}, std::size_t{5'000'000}}) {
    SCOPED_TRACE(size);
    std::string body(size, '\0');
    for (char& c : body) c = static_cast<char>(engine());
    outbox::message binary;
    binary.routing_key = "q";
    binary.body = body;
    binary.is_binary = true;
    outbox::message text;
    text.routing_key = "q";
    for (char& c : body) c = static_cast<char>('a' + (static_cast<unsigned char>(c) % 26));
    text.body = body;
    pqxx::connection connection(db.url());
    pqxx::work tx(connection);
    db.insert(tx, binary);
    db.insert(tx, text);
    tx.commit();
    const auto all = delivered(2);
    ASSERT_EQ(all.size(), 2u) << relay.log();
    const auto& got_binary = all[0].properties.content_type == "application/json" ? all[1] : all[0];
    const auto& got_text = all[0].properties.content_type == "application/json" ? all[0] : all[1];
    EXPECT_TRUE(got_binary.body == binary.body);
    EXPECT_TRUE(got_text.body == text.body);
  }
}

TEST_F(delivery, a_row_is_sent_only_after_its_confirm_and_then_marked) {
  db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', '1')");
  only();
  EXPECT_TRUE(eventually(
      30s, [&] { return db.value("SELECT status FROM \"outbox\".messages") == "sent"; }));
  EXPECT_EQ(relay.metric("outbox_messages_confirmed_total"), 1);
}

TEST_F(delivery, with_a_retention_of_zero_the_row_is_gone_once_it_is_confirmed) {
  relay.kill(SIGTERM);
  ASSERT_EQ(relay.wait(30s), (exit_status{.code = 0, .signal = 0}));
  sidecar deleting(db.url(), amqp_url, {{"OUTBOX_RETENTION", "0s"}});
  db.run(
      "INSERT INTO \"outbox\".messages (routing_key, payload) SELECT 'q', '1' FROM "
      "generate_series(1, 100)");
  EXPECT_EQ(delivered(100).size(), 100u);
  EXPECT_TRUE(
      eventually(30s, [&] { return db.value("SELECT count(*) FROM \"outbox\".messages") == "0"; }));
}

TEST_F(delivery, rolled_back_rows_never_appear) {
  pqxx::connection connection(db.url());
  {
    pqxx::work tx(connection);
    tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'rolled back')");
    tx.exec("SAVEPOINT s");
    tx.abort();
  }
  {
    pqxx::work tx(connection);
    tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'before')");
    tx.exec("SAVEPOINT s");
    tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'undone')");
    tx.exec("ROLLBACK TO s");
    tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'after')");
    tx.commit();
  }
  std::set<std::string> bodies;
  for (const auto& m : delivered(2)) bodies.insert(m.body);
  EXPECT_EQ(bodies, (std::set<std::string>{"before", "after"}));
  EXPECT_TRUE(eventually(30s, [&] {
    return db.value("SELECT count(*) FROM \"outbox\".messages WHERE status <> 'sent'") == "0";
  }));
  EXPECT_EQ(broker.get("q"), std::nullopt);
}

TEST_F(delivery, rows_that_commit_long_after_later_ids_are_delivered_promptly) {
  pqxx::connection slow(db.url());
  pqxx::work late(slow);
  late.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'late')");
  for (int i = 0; i < 50; ++i) {
    db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', 'early')");
  }
  EXPECT_EQ(delivered(50).size(), 50u);
  late.commit();
  // The poll comes once a minute: it is not what brings the row.
  EXPECT_EQ(only().body, "late");
}

// The id is drawn when the statement begins and the row is written when its payload has been
// computed. The transaction id must be older than the id, or nothing would tell that the gap may
// still be filled.
TEST_F(delivery,
       a_row_that_is_computed_for_seconds_after_its_id_was_drawn_does_not_lose_its_place) {
  std::thread slow([&] {
    pqxx::connection connection(db.url());
    pqxx::nontransaction tx(connection);
    tx.exec(
        "INSERT INTO outbox.messages (routing_key, ordering_key, payload) "
        "VALUES ('q', 'k', (SELECT 'slow' FROM pg_sleep(3)))");
  });
  EXPECT_TRUE(eventually(
      30s, [&] { return db.value("SELECT is_called FROM \"outbox\".messages_id_seq") == "t"; }));
  db.run("SELECT \"outbox\".publish('', 'q', 'later', ordering_key => 'k', serialize => true)");
  EXPECT_EQ(only().body, "later") << "it does not wait for a writer that does not serialize";
  const auto m = only();
  slow.join();
  EXPECT_EQ(m.body, "slow");
  EXPECT_THAT(m.header("x-outbox-id"), Optional(amqp_value::int64(1)))
      << "the test did not draw the id first";
}

TEST_F(delivery, writers_of_one_key_that_serialize_are_delivered_in_the_order_they_committed) {
  std::thread first([&] {
    pqxx::connection connection(db.url());
    pqxx::work tx(connection);
    tx.exec("SELECT outbox.publish('', 'q', 'first', ordering_key => 'k', serialize => true)");
    tx.exec("SELECT pg_sleep(1)");
    tx.commit();
  });
  EXPECT_TRUE(eventually(30s, [&] {
    return db.value(
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid >= 1024 AND "
               "granted") == "1";
  }));
  db.run("SELECT \"outbox\".publish('', 'q', 'second', ordering_key => 'k', serialize => true)");
  first.join();
  const auto both = delivered(2);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0].body, "first");
  EXPECT_EQ(both[1].body, "second");
}

TEST_F(delivery,
       sixteen_writers_with_rollbacks_and_delays_lose_nothing_and_keep_the_order_of_each_key) {
  constexpr int writers = 16, transactions = 60;
  std::vector<std::thread> threads;
  threads.reserve(writers);
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&, w] {
      std::mt19937 engine(static_cast<unsigned>(w));
      pqxx::connection connection(db.url());
      for (int i = 0; i < transactions; ++i) {
        pqxx::work tx(connection);
        tx.exec("SELECT outbox.publish('', 'q', 'x', ordering_key => 'k" +
                std::to_string(engine() % 5) + "', serialize => true)");
        tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'keyless')");
        tx.exec("SELECT pg_sleep(" + std::to_string(static_cast<double>(engine() % 10) / 1000) +
                ")");
        if (engine() % 4 == 0) {
          tx.abort();
        } else {
          tx.commit();
        }
      }
    });
  }
  for (auto& t : threads) t.join();
  const auto committed = std::stoul(db.value("SELECT count(*) FROM \"outbox\".messages"));
  const auto all = delivered(committed, 60s);
  ASSERT_EQ(all.size(), committed) << relay.log();
  std::map<std::string, std::int64_t> last;
  for (const auto& m : all) {
    const auto key = m.header("x-outbox-key");
    if (!key) continue;
    const auto id = std::get<std::int64_t>(m.header("x-outbox-id")->value);
    auto& before = last[std::get<std::string>(key->value)];
    EXPECT_LT(before, id) << "out of order";
    before = id;
  }
  EXPECT_EQ(broker.get("q"), std::nullopt) << "duplicates without a fault";
}

TEST_F(delivery, an_idle_relay_is_woken_by_a_commit_and_a_busy_one_is_not_notified_at_all) {
  await_idle();
  const double before = relay.metric("outbox_db_notifications_total");
  db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', '1')");
  EXPECT_EQ(only().body, "1");
  EXPECT_TRUE(
      eventually(30s, [&] { return relay.metric("outbox_db_notifications_total") == before + 1; }));

  // A transaction that shares the lock keeps the relay from going idle: it polls, and no commit
  // notifies.
  pqxx::connection connection(db.url());
  pqxx::work open(connection);
  int woken = 0;
  ASSERT_TRUE(eventually(30s, [&] {
    db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', 'wakes')");
    ++woken;
    open.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'open')");
    return db.value(
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND mode = "
               "'ShareLock'") == "1";
  }));
  EXPECT_EQ(delivered(static_cast<std::size_t>(woken)).size(), static_cast<std::size_t>(woken));
  for (int i = 0; i < 200; ++i)
    db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', '2')");
  EXPECT_EQ(delivered(200).size(), 200u);
  EXPECT_LE(relay.metric("outbox_db_notifications_total"), before + 1 + woken)
      << "none of the two hundred";
}

TEST_F(delivery, rows_that_came_past_the_rules_stop_nobody) {
  db.run("SET session_replication_role = replica");
  db.run(
      "INSERT INTO \"outbox\".messages (routing_key, payload, priority) "
      "VALUES ('q', NULL, NULL), ('q', 'urgent', 300), ('q', 'negative', -1)");
  db.run("SET session_replication_role = origin");
  db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', 'good')");
  EXPECT_EQ(delivered(4).size(), 4u);
}

TEST_F(delivery, a_dead_row_that_is_retried_wakes_an_idle_relay) {
  await_idle();
  // Without the trigger, which would wake the relay; and it polls once a minute.
  db.run("SET session_replication_role = replica");
  const auto id = db.value(
      "INSERT INTO \"outbox\".messages (routing_key, payload, status, attempts) "
      "VALUES ('q', 'revived', 'dead', 1) RETURNING id");
  db.run("SET session_replication_role = origin");
  EXPECT_EQ(db.value("SELECT \"outbox\".retry(" + id + ")"), "t");
  EXPECT_EQ(only().body, "revived");
  EXPECT_TRUE(eventually(30s, [&] { return relay.metric("outbox_db_notifications_total") == 1; }));
}

}  // namespace
}  // namespace outboxd::tests
