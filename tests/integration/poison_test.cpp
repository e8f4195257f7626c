<<<<<<< HEAD
// Rows that no broker takes among rows that it does: the good ones do not notice, the bad ones say
// why they are dead or wait.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/broker_world.hpp"
#include "tests/support/scale.hpp"
#include "tests/support/scratch_directory.hpp"
=======
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
>>>>>>> w-faults

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
<<<<<<< HEAD
using testing::HasSubstr;
using testing::Not;

// The broker's own limit; ours stays at its default, so that the broker has to refuse.
constexpr int broker_limit = 100'000;

class poison : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() {
    start_shared_servers();
    shared_rabbitmq().ctl({"eval", "application:set_env(rabbit, max_message_size, " +
                                       std::to_string(broker_limit) + ")."});
  }

  poison() { start({{"OUTBOX_RETRY_MIN", "200ms"}, {"OUTBOX_RETRY_MAX", "2s"}}); }

  // Ten rows at a time, half of them with one of a hundred keys; the next ten once the last but one
  // have arrived.
  void write_good(int rows, bool with_bad_ones) {
    for (int written = 0; written < rows; written += 10) {
      insert(10, {.ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || (" + std::to_string(written) +
                                  " / 10) % 50 || n END"});
      good += 10;
      if (with_bad_ones && written % 300 == 150) {
        insert(1, {.exchange = "'nowhere'"});
        insert(1, {.headers = R"('{"CC": "not an array"}')"});
        insert(1, {.payload = "repeat('x', " + std::to_string(broker_limit + 1) + ")"});
      }
      ASSERT_TRUE(arrive_within(60s, "q", static_cast<std::uint32_t>(good - 10))) << relay->log();
    }
    ASSERT_TRUE(arrive_within(60s, "q", static_cast<std::uint32_t>(good)));
  }

  // Milliseconds from the INSERT to the mark, of good rows with id > after.
  struct latencies {
    double median, p99;
  };
  latencies latency_of_good_rows(const std::string& after) {
    const auto row = db.run(
        "SELECT 1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY took), "
        "1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY took) FROM (SELECT extract(epoch FROM "
        "sent_at - created_at) AS took FROM \"outbox\".messages WHERE exchange = '' AND status = "
        "'sent' AND id > " +
        after + ") AS good");
    return {row[0][0].as<double>(), row[0][1].as<double>()};
  }

  static std::string broker_log() {
    std::ifstream file(scratch_directory() / "rabbitmq" / "rabbitmq.log");
    return {std::istreambuf_iterator<char>(file), {}};
  }

  int good = 0;
};

TEST_F(poison, rows_that_nobody_takes_leave_the_good_ones_alone) {
  const int rows = scaled_rows(6'000, 60'000);
  const int bad = (rows + 149) / 300;
  ASSERT_NO_FATAL_FAILURE(write_good(rows, false));
  ASSERT_TRUE(eventually(20s, [&] { return count("status = 'sent'") == rows; }));
  const auto without = latency_of_good_rows("0");
  const std::string last = db.value("SELECT max(id) FROM \"outbox\".messages");

  ASSERT_NO_FATAL_FAILURE(write_good(rows, true));
  EXPECT_EQ(count("exchange = 'nowhere' AND status = 'sent'"), 0);
  ASSERT_TRUE(eventually(60s, [&] { return count("status = 'dead'") == 2 * bad; })) << relay->log();
  const auto with = latency_of_good_rows(last);
  std::printf(
      "good rows: median %.1f ms without bad ones, %.1f ms with (ratio %.2f); p99 %.1f, %.1f "
      "(ratio %.2f)\n",
      without.median, with.median, with.median / without.median, without.p99, with.p99,
      with.p99 / without.p99);

  EXPECT_EQ(count("status = 'sent'"), 2 * rows);
  EXPECT_EQ(count("exchange = 'nowhere' AND status IN ('pending', 'deferred')"), bad);
  EXPECT_EQ(count("status = 'dead' AND last_error LIKE 'invalid%CC%'"), bad);
  EXPECT_EQ(count("status = 'dead' AND last_error LIKE 'refused%406%larger than%'"), bad);
  EXPECT_THAT(db.value("SELECT last_error FROM \"outbox\".messages WHERE exchange = 'nowhere' AND "
                       "attempts > 0 LIMIT 1"),
              HasSubstr("no_exchange"));
  EXPECT_EQ(relay->metric("outbox_messages_dead_total{reason=\"invalid\"}"), bad);
  EXPECT_EQ(relay->metric("outbox_messages_dead_total{reason=\"refused\"}"), bad);
  EXPECT_EQ(relay->metric("outbox_broker_reconnects_total"), 0) << "only channels are closed";
  EXPECT_LE(relay->metric("outbox_broker_channel_errors_total{code=\"406\"}"), 4 * bad)
      << "once among others, twice alone";
  EXPECT_THAT(take_all(amqp_url, "q").out_of_order, testing::IsEmpty());

  broker.declare_exchange("nowhere", "fanout");
  broker.bind("q", "nowhere", "");
  EXPECT_TRUE(all_sent_within(30s)) << relay->log();
  EXPECT_EQ(take_all(amqp_url, "q").ids.size(), static_cast<std::size_t>(bad));
}

// What could not be encoded is refused before it is sent: the broker would close the channel, or
// the connection, over each of these.
TEST_F(poison, nothing_that_would_end_a_connection_reaches_the_broker) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  const std::vector<std::string> headers{
      R"({"n": 1e400})",
      R"({"n": 9223372036854775808})",
      R"({"n": [-9223372036854775809]})",
      R"({"deep": )" + nested(5'000) + "}",
      R"({"CC": [1]})",
      R"({"BCC": {"a": 1}})",
  };
  for (const auto& h : headers) insert(1, {.headers = "'" + h + "'"});
  insert(100);
  EXPECT_TRUE(arrive_within(30s, "q", 100));
  EXPECT_TRUE(eventually(30s, [&] {
    return count("status = 'dead' AND last_error LIKE 'invalid%'") ==
           static_cast<int>(headers.size());
  })) << relay->log();
  EXPECT_EQ(relay->metric("outbox_broker_reconnects_total"), 0);
  EXPECT_EQ(depth("q"), 100u);
  EXPECT_THROW(insert(1, {.headers = "jsonb_build_object('h', repeat('x', 140000))"}),
               pqxx::sql_error);
  const std::string errors = broker_log();
  EXPECT_THAT(errors, HasSubstr("connection"));
  for (const char* fatal : {"501", "541", "frame_error", "internal_error"}) {
    EXPECT_THAT(errors, Not(HasSubstr("code " + std::string(fatal)))) << fatal;
    EXPECT_THAT(errors, Not(HasSubstr("," + std::string(fatal) + ","))) << fatal;
  }
}

TEST_F(poison, a_key_goes_on_behind_its_refused_row_in_order) {
  insert(1, {.ordering_key = "'k'", .payload = "repeat('x', 200000)"});
  insert(50, {.ordering_key = "'k'"});
  EXPECT_TRUE(arrive_within(30s, "q", 50)) << relay->log();
  ASSERT_TRUE(eventually(10s, [&] { return count("status = 'sent'") == 50; }));
  EXPECT_EQ(count("status = 'dead'"), 1);
  EXPECT_THAT(take_all(amqp_url, "q").out_of_order, testing::IsEmpty());
=======
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
  EXPECT_EQ(relay.metric("outbox_messages_dead_total{reason=\"invalid\"}"), 10);
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
      db.run("INSERT INTO \"outbox\".messages (" + column + ", payload) VALUES ('" + value +
             "', '{}')");
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
>>>>>>> w-faults
}

}  // namespace
}  // namespace outboxd::tests
