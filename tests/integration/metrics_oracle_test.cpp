// /metrics against those who know: the broker's own counters, and the table.
#include <fstream>
#include <set>
#include <sstream>

#include "tests/integration/database_fault.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::tests {
namespace {

// Of every AMQP 0-9-1 client of the broker; the probes of these tests publish nothing.
struct broker_counts {
  long received = 0, confirmed = 0, returned = 0;

  friend broker_counts operator-(const broker_counts& a, const broker_counts& b) {
    return {a.received - b.received, a.confirmed - b.confirmed, a.returned - b.returned};
  }
};

broker_counts ask_broker() {
  std::istringstream answer(shared_rabbitmq().ctl(
      {"eval",
       "#{[{protocol, amqp091}] := C} = rabbit_global_counters:overview(),"
       " list_to_tuple([maps:get(K, C) || K <- [messages_received_total, messages_confirmed_total,"
       " messages_unroutable_returned_total]])."}));
  broker_counts counts;
  char separator = 0;
  answer >> separator >> counts.received >> separator >> counts.confirmed >> separator >>
      counts.returned;
  if (!answer) throw std::runtime_error("the broker's counters: " + answer.str());
  return counts;
}

class metrics_oracle : public database_fault {
 protected:
  // Sums of the named counter over its labels.
  long total(const sidecar& relay, const std::string& name) {
    double sum = 0;
    std::istringstream lines(relay.get("/metrics"));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(name + "{") || line.starts_with(name + " "))
        sum += std::stod(line.substr(line.rfind(' ') + 1));
    }
    return static_cast<long>(sum);
  }
  long sent() { return number("SELECT count(*) FROM outbox.messages WHERE status = 'sent'"); }

  void await_rest(const sidecar& relay) {
    ASSERT_TRUE(eventually(
        60s, [&] { return unsent() == 0 && relay.metric("outbox_unconfirmed_messages") == 0; }))
        << relay.get("/readyz?verbose") << relay.log();
  }

  // Where nothing was lost on the way. `already`: rows that others sent.
  void expect_agreement(const sidecar& relay, const broker_counts& counted, long already) {
    const long confirmed = total(relay, "outbox_messages_confirmed_total");
    EXPECT_EQ(total(relay, "outbox_messages_published_total"), counted.received);
    EXPECT_EQ(total(relay, "outbox_messages_failed_total"), relay.metric(returned));
    EXPECT_EQ(relay.metric(returned), counted.returned);
    EXPECT_EQ(confirmed + counted.returned, counted.confirmed);
    EXPECT_EQ(total(relay, "outbox_messages_unknown_total"), 0);
    EXPECT_EQ(confirmed, sent() - already);
    expect_one_observation_each(relay, confirmed);
  }
  void expect_one_observation_each(const sidecar& relay, long confirmed) {
    EXPECT_EQ(relay.metric("outbox_delivery_latency_seconds_count"), confirmed);
    EXPECT_EQ(relay.metric("outbox_confirm_latency_seconds_count"), confirmed);
  }

  // In the table, and soon in the gauge.
  void expect_rows(const sidecar& relay, const std::string& status, int count) {
    EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE status = '" + status + "'"),
              count);
    EXPECT_TRUE(
        eventually(30s, [&] { return relay.metric("outbox_" + status + "_messages") == count; }))
        << status << ": " << relay.metric("outbox_" + status + "_messages");
  }

  const std::string returned = "outbox_messages_failed_total{reason=\"returned\"}";
};

TEST_F(metrics_oracle, counters_agree_with_the_broker_under_load_failures_and_restarts) {
  const broker_counts begin = ask_broker();
  auto relay = start_ready(db.url());
  {
    writers load(db.url());
    for (const std::string key : {"one", "two", "three"}) insert(3, "nowhere." + key, key);
    ASSERT_TRUE(eventually(60s, [&] { return relay->metric(returned) >= 20; }));
    for (const std::string key : {"one", "two", "three"}) broker.declare_queue("nowhere." + key);
    ASSERT_TRUE(eventually(60s, [&] { return load.committed() >= 500; }));
  }
  await_rest(*relay);
  const broker_counts first = ask_broker();
  expect_agreement(*relay, first - begin, 0);
  const long sent_first = sent();

  relay->kill(SIGTERM);
  ASSERT_EQ(relay->wait(60s), (exit_status{0, 0})) << relay->log();
  relay = start_ready(db.url());
  {
    writers load(db.url());
    ASSERT_TRUE(eventually(60s, [&] { return load.committed() >= 500; }));
  }
  await_rest(*relay);
  const broker_counts second = ask_broker();
  expect_agreement(*relay, second - first, sent_first);
  const long sent_second = sent();

  // Connections are lost in the middle: what the broker got of that is between the two counts.
  const long published_before = total(*relay, "outbox_messages_published_total");
  const long confirmed_before = total(*relay, "outbox_messages_confirmed_total");
  {
    writers load(db.url());
    for (int n = 0; n < 3; ++n) {
      const auto reconnects = relay->metric("outbox_broker_reconnects_total");
      shared_rabbitmq().ctl({"close_all_user_connections", "outboxd", "oracle"});
      ASSERT_TRUE(eventually(
          60s, [&] { return relay->metric("outbox_broker_reconnects_total") >= reconnects + 2; }));
    }
    broker = amqp_probe(amqp_url);
  }
  await_rest(*relay);
  const long published = total(*relay, "outbox_messages_published_total") - published_before;
  const long confirmed = total(*relay, "outbox_messages_confirmed_total") - confirmed_before;
  const long in_doubt = total(*relay, "outbox_messages_unknown_total");
  const broker_counts third = ask_broker() - second;
  EXPECT_EQ(published, confirmed + in_doubt) << "each attempt has one outcome";
  EXPECT_EQ(confirmed, sent() - sent_second);
  EXPECT_GE(published, third.received);
  EXPECT_LE(confirmed, third.confirmed);
  expect_one_observation_each(*relay, confirmed + confirmed_before);
}

TEST_F(metrics_oracle, gauges_agree_with_the_table) {
  const auto relay = start_ready(db.url(), {{"OUTBOX_RETRY_MIN", "1h"},
                                            {"OUTBOX_RETRY_MAX", "1h"},
                                            {"OUTBOX_MAX_MESSAGE_SIZE", "1KiB"}});
  const std::string into = "INSERT INTO outbox.messages (routing_key, ordering_key, payload";
  // Seven keys begin with a row that nobody takes; what follows them waits.
  ask(into + ") SELECT 'nowhere.' || n, 'k' || n, 'x' FROM generate_series(1, 7) AS n");
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric(returned) == 7; }));
  ask(into + ") SELECT 'q', 'k' || n % 7 + 1, 'x' FROM generate_series(1, 21) AS n");
  ask(into +
      ", not_before) SELECT 'q', NULL, 'x', now() + interval '1 h'"
      " FROM generate_series(1, 5)");
  ask(into + ") SELECT 'q', NULL, repeat('x', 2000) FROM generate_series(1, 4)");
  insert(10);
  ASSERT_TRUE(eventually(30s, [&] { return sent() == 10; }));
  ASSERT_TRUE(eventually(30s, [&] {
    return total(*relay, "outbox_messages_dead_total") == 4 &&
           number("SELECT count(*) FROM outbox.messages WHERE status = 'dead'") == 4;
  }));
  expect_rows(*relay, "pending", 21);
  expect_rows(*relay, "deferred", 12);
  expect_rows(*relay, "dead", 4);
  EXPECT_EQ(relay->metric("outbox_messages_dead_total{reason=\"too_large\"}"), 4);
  EXPECT_EQ(relay->metric("outbox_held_keys"), 7);
  EXPECT_EQ(relay->metric("outbox_held_destinations"), 0);

  const double oldest = relay->metric("outbox_oldest_pending_age_seconds");
  EXPECT_GT(oldest, 0);
  EXPECT_LE(oldest, std::stod(ask("SELECT extract(epoch FROM clock_timestamp() - min(created_at))"
                                  "  FROM outbox.messages")));

  ask("DELETE FROM outbox.messages WHERE status IN ('deferred', 'dead')");
  expect_rows(*relay, "deferred", 0);
  expect_rows(*relay, "dead", 0);
}

// "name{labels}" of each sample.
std::set<std::string> series(const std::string& exposition) {
  std::set<std::string> all;
  std::istringstream lines(exposition);
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with('#')) all.insert(line.substr(0, line.rfind(' ')));
  return all;
}

TEST_F(metrics_oracle, keys_exchanges_and_routing_keys_make_no_series) {
  constexpr int keys = 100'000, exchanges = 50;
  broker.declare_queue("sink", {.arguments = {{"x-max-length", amqp_value::int64(10)}}});
  for (int n = 0; n < exchanges; ++n) {
    broker.declare_exchange("e" + std::to_string(n), "fanout");
    broker.bind("sink", "e" + std::to_string(n), "");
  }
  const auto relay = start_ready(db.url());
  ASSERT_TRUE(eventually(30s, [&] {  // the last to appear: a leader has looked at its table
    return series(relay->get("/metrics")).contains("outbox_oldest_pending_age_seconds");
  }));
  const auto before = series(relay->get("/metrics"));
  ask("INSERT INTO outbox.messages (exchange, routing_key, ordering_key, payload)"
      " SELECT 'e' || n % " +
      std::to_string(exchanges) + ", 'r' || n % 997, 'k' || n, 'x' FROM generate_series(1, " +
      std::to_string(keys) + ") AS n");
  insert(3, "nowhere", "a key");
  ask("INSERT INTO outbox.messages (exchange, payload) VALUES ('no such exchange', 'x')");
  ASSERT_TRUE(eventually(180s, [&] {
    return relay->metric("outbox_messages_confirmed_total") >= keys;
  })) << relay->get("/readyz?verbose");
  ASSERT_TRUE(eventually(30s, [&] { return total(*relay, "outbox_messages_failed_total") >= 2; }));
  const std::string live = relay->get("/metrics");
  EXPECT_THAT(series(live), testing::ContainerEq(before));

  const auto file = scratch_directory() / "metrics.txt";
  std::ofstream(file) << live;
  child_process lint({{"sh", "-c", "promtool check metrics < " + file.string()}});
  EXPECT_EQ(lint.wait(60s), (exit_status{0, 0})) << "promtool is installed by ./dev deps";
  EXPECT_EQ(lint.out() + lint.err(), "");
}

}  // namespace
}  // namespace outboxd::tests
