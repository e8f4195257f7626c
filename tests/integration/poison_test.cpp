// Rows that could never be published, among good ones, through the whole sidecar: those that the
// table cannot refuse are dead with a reason, the good ones flow, and the broker sees none of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/broker_log.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

class poison : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  poison() { broker.declare_queue("q"); }

  std::string count(const std::string& status) {
    return db.value("SELECT count(*) FROM \"outbox\".messages WHERE status = '" + status + "'");
  }

  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  amqp_probe broker{amqp_url};
};

TEST_F(poison, in_headers_is_dead_and_the_good_rows_flow_and_the_broker_sees_none_of_it) {
  // The smallest frame that every broker takes, so that headers that the table takes are too large.
  sidecar relay(db.url(), amqp_url + "?frame_max=8192");
  relay.await_ready();
  const broker_log log;
  db.run(R"(
    INSERT INTO "outbox".messages (routing_key, ordering_key, payload, headers)
    SELECT 'q', 'k' || n % 10, n::text, CASE WHEN n % 50 = 0 THEN bad.headers END
    FROM generate_series(1, 500) AS n
    LEFT JOIN (VALUES
      (50, '{"n": 1e400}'::jsonb), (100, '{"n": 9223372036854775808}'), (150, '{"CC": "q"}'),
      (200, '{"BCC": [1]}'), (250, ('{"d": ' || repeat('[', 5000) || repeat(']', 5000) || '}')::jsonb),
      (300, jsonb_build_object('h', repeat('x', 60000))), (350, '{"a": [{"n": -1e999}]}'),
      (400, '{"CC": null}'), (450, '{"n": -9223372036854775809}'), (500, '{"BCC": {}}')
    ) AS bad (n, headers) USING (n)
    ORDER BY n)");
  EXPECT_EQ(broker.get_many("q", 490, 60s).size(), 490u) << relay.log();
  ASSERT_TRUE(eventually(20s, [&] { return count("sent") == "490" && count("dead") == "10"; }))
      << relay.log();
  EXPECT_TRUE(eventually(
      20s, [&] { return relay.metric("outbox_messages_dead_total{reason=\"invalid\"}") == 10; }));
  EXPECT_EQ(db.value("SELECT count(*) FROM \"outbox\".messages WHERE status = 'dead' AND "
                     "last_error LIKE 'invalid%' AND attempts <= 1"),
            "10")
      << db.value("SELECT string_agg(last_error, E'\\n') FROM \"outbox\".messages");
  EXPECT_EQ(relay.metric("outbox_broker_reconnects_total"), 0);
  EXPECT_EQ(broker.queue("q")->messages, 0u);
  EXPECT_THAT(log.other_complaints(amqp_url), IsEmpty());
}

TEST_F(poison, in_a_column_is_refused_by_the_table) {
  const std::string longest(255, 'x'), too_long(300, 'x');
  for (const std::string column :
       {"exchange", "routing_key", "ordering_key", "content_type", "content_encoding", "type",
        "correlation_id", "reply_to", "app_id"}) {
    const auto insert = [&](const std::string& value) {
      std::string statement = "INSERT INTO \"outbox\".messages (";
      statement.append(column).append(", payload) VALUES ('").append(value).append("', '{}')");
      db.run(statement);
    };
    EXPECT_THROW(insert(too_long), pqxx::check_violation) << column;
    EXPECT_NO_THROW(insert(longest)) << column;
  }
  EXPECT_THROW(db.run("INSERT INTO \"outbox\".messages (message_id, payload) VALUES ('" + too_long +
                      "', '{}')"),
               pqxx::data_exception);
  for (const std::string headers :
       {"jsonb_build_object('h', repeat('x', 140000))", "jsonb_build_object(repeat('n', 256), 1)",
        "jsonb_build_object('o', jsonb_build_array(jsonb_build_object(repeat('n', 256), 1)))",
        "'[]'::jsonb"}) {
    EXPECT_THROW(
        db.run("INSERT INTO \"outbox\".messages (payload, headers) VALUES ('{}', " + headers + ")"),
        pqxx::check_violation)
        << headers;
  }
  for (const std::string ms : {"-1", "315360000001"}) {
    EXPECT_THROW(db.run("INSERT INTO \"outbox\".messages (payload, expiration_ms) VALUES ('{}', " +
                        ms + ")"),
                 pqxx::check_violation);
  }
}

}  // namespace
}  // namespace outboxd::tests
