// A destination that takes nothing: its rows wait, nearly nothing is published to it, nobody else
// notices, and everything goes out in order when it is mended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/broker_world.hpp"
#include "tests/support/scale.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

class destinations : public testing::Test, protected broker_world {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  destinations() { broker.declare_queue("healthy"); }

  const sidecar::settings usual{{"OUTBOX_RETRY_MIN", "200ms"}, {"OUTBOX_RETRY_MAX", "1s"}};
  const std::chrono::milliseconds fault_time = scaled(2s, 60s);

  // As long as a fault is to last, rows for a healthy destination are written, and arrive.
  // Answers with the number of other publishes in a second meanwhile.
  double other_publishes_per_second() {
    const auto begin = std::chrono::steady_clock::now();
    const double published_before = published();
    const int healthy_before = healthy;
    std::chrono::duration<double> elapsed{};
    do {
      write_healthy(20);
      if (!arrive_within(20s, "healthy", static_cast<std::uint32_t>(healthy))) {
        ADD_FAILURE() << "a healthy destination waits\n" << relay->log();
        return 0;
      }
      elapsed = std::chrono::steady_clock::now() - begin;
    } while (elapsed < fault_time);
    return (published() - published_before - (healthy - healthy_before)) / elapsed.count();
  }

  // Half of them with a key.
  void write_healthy(int rows) {
    insert(rows, {.routing_key = "'healthy'",
                  .ordering_key = "CASE WHEN n % 2 = 0 THEN 'h' || n % 10 END"});
    healthy += rows;
  }

  int healthy = 0;
};

// One destination cannot hold more than these many publishes in a second up, whatever the backlog:
// each of four routing keys is probed about once per back-off.
constexpr double handful = 20;

TEST_F(destinations, four_faults_in_a_row_throw_nothing_away_and_leave_the_others_alone) {
  const int rows = scaled_rows(50'000, 50'000);
  const std::vector<std::string> queues{"f0", "f1", "f2", "f3"};
  auto& rabbit = shared_rabbitmq();
  broker.declare_exchange("faulty", "direct");
  rabbit.ctl({"set_policy", "-p", vhost, "full", "^f",
              R"({"max-length":0,"overflow":"reject-publish"})", "--apply-to", "queues"});
  rabbit.ctl({"set_permissions", "-p", vhost, "outboxd", ".*", "^(?!faulty$).*", ".*"});
  insert(rows, {.exchange = "'faulty'",
                .routing_key = "'f' || n % 4",
                .ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 100 END"});
  start(usual);

  const auto meanwhile = [&](const std::string& fault, const std::string& reason) {
    SCOPED_TRACE(fault);
    const double before = failed(reason);
    ASSERT_TRUE(eventually(30s, [&] {
      return failed(reason) > before && relay->metric("outbox_held_destinations") == 4;
    })) << relay->log();
    // What was in flight when it began.
    write_healthy(20);
    ASSERT_TRUE(arrive_within(30s, "healthy", static_cast<std::uint32_t>(healthy)));
    EXPECT_LE(published() - healthy, 3 * 2'048) << "the window, and once more what was in doubt";
    const double others = other_publishes_per_second();
    std::printf("%-18s %5.1f publishes per second to it\n", fault.c_str(), others);
    EXPECT_LE(others, handful);
    EXPECT_EQ(count("status = 'dead'"), 0);
    EXPECT_EQ(count("status <> 'sent' AND exchange = 'faulty'"), rows);
    EXPECT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 4; }));
  };
  meanwhile("no permission", "forbidden");
  broker.delete_exchange("faulty");
  rabbit.ctl({"set_permissions", "-p", vhost, "outboxd", ".*", ".*", ".*"});
  meanwhile("exchange deleted", "no_exchange");
  broker.declare_exchange("faulty", "direct");
  meanwhile("binding missing", "returned");
  for (const auto& q : queues) {
    broker.declare_queue(q);
    broker.bind(q, "faulty", q);
  }
  meanwhile("queue full", "nacked");
  EXPECT_LE(count("attempts > 0"), 200) << "rows that only wait are not written to";
  rabbit.ctl({"clear_policy", "-p", vhost, "full"});

  ASSERT_TRUE(all_sent_within(120s)) << relay->log();
  EXPECT_EQ(count("status = 'dead'"), 0);
  EXPECT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 0; }));
  std::size_t distinct = 0, duplicates = 0;
  for (const auto& q : queues) {
    const auto got = take_all(amqp_url, q);
    EXPECT_THAT(got.out_of_order, IsEmpty());
    distinct += got.ids.size();
    duplicates += got.duplicates;
  }
  EXPECT_EQ(distinct, static_cast<std::size_t>(rows));
  EXPECT_LE(duplicates, 2'048u);
  const auto got = take_all(amqp_url, "healthy");
  EXPECT_THAT(got.out_of_order, IsEmpty());
  EXPECT_EQ(got.ids.size(), static_cast<std::size_t>(healthy));
  std::printf("%d healthy rows meanwhile, duplicates: %zu and %zu\n", healthy, duplicates,
              got.duplicates);
}

TEST_F(destinations, many_routing_keys_of_one_exchange_that_lead_nowhere_cost_no_more_than_a_few) {
  const int rows = scaled_rows(20'000, 200'000);
  broker.declare_exchange("topics", "topic");
  insert(rows, {.exchange = "'topics'",
                .routing_key = "'t' || n % 200",
                .ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 1000 END"});
  start(usual);
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") >= 1; }))
      << relay->log();
  write_healthy(20);
  ASSERT_TRUE(arrive_within(30s, "healthy", 20));
  EXPECT_LE(other_publishes_per_second(), 2 * handful);
  EXPECT_LE(relay->metric("outbox_held_destinations"), 33);

  broker.bind("q", "topics", "#");
  ASSERT_TRUE(all_sent_within(120s)) << relay->log();
  const auto got = take_all(amqp_url, "q");
  EXPECT_THAT(got.out_of_order, IsEmpty());
  EXPECT_EQ(got.ids.size(), static_cast<std::size_t>(rows));
}

TEST_F(destinations, a_blocked_key_with_a_hundred_thousand_rows_does_not_hold_up_other_keys) {
  insert(1, {.routing_key = "'missing'", .ordering_key = "'blocked'"});
  insert(scaled_rows(100'000, 1'000'000), {.ordering_key = "'blocked'"});
  start(usual);
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_keys") == 1; }));
  insert(2'000, {.routing_key = "'healthy'", .ordering_key = "'other' || n"});
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(arrive_within(60s, "healthy", 2'000)) << relay->log();
  std::printf("2,000 other keys took %.1f s\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  EXPECT_EQ(depth("q"), 0u) << "the blocked key must wait";
  EXPECT_TRUE(any("routing_key = 'missing' AND status = 'deferred'"));

  broker.declare_queue("missing");
  EXPECT_TRUE(arrive_within(60s, "q", 500));
  relay->kill(SIGTERM);
  ASSERT_TRUE(relay->wait(20s));
  EXPECT_EQ(depth("missing"), 1u);
  const auto got = take_all(amqp_url, "q");
  EXPECT_THAT(got.out_of_order, IsEmpty());
  EXPECT_EQ(got.ids.front(), 2);
  EXPECT_EQ(static_cast<std::size_t>(got.ids.back()), got.ids.size() + 1) << "none left out";
}

TEST_F(destinations, one_row_that_can_never_route_does_not_stop_its_neighbours) {
  broker.declare_exchange("by_headers", "headers");
  broker.bind("healthy", "by_headers", "", {{"for", amqp_value::text("us")}});
  insert(1,
         {.exchange = "'by_headers'", .routing_key = "''", .headers = "'{\"for\": \"nobody\"}'"});
  insert(2'000, {.exchange = "'by_headers'",
                 .routing_key = "''",
                 .ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n % 10 END",
                 .headers = "'{\"for\": \"us\"}'"});
  // Whoever waited for it would wait for longer than this test does.
  start({{"OUTBOX_RETRY_MIN", "5m"}, {"OUTBOX_RETRY_MAX", "5m"}});
  EXPECT_TRUE(arrive_within(60s, "healthy", 2'000)) << relay->log();
  EXPECT_TRUE(eventually(30s, [&] { return count("status = 'deferred' AND attempts = 1") == 1; }));
  EXPECT_THAT(take_all(amqp_url, "healthy").out_of_order, IsEmpty());
}

// Enough of them to hold the destination: a probe of another row lifts it.
TEST_F(destinations, rows_that_can_never_route_hold_their_neighbours_for_a_back_off_at_most) {
  broker.declare_exchange("by_headers", "headers");
  broker.bind("healthy", "by_headers", "", {{"for", amqp_value::text("us")}});
  insert(2'010, {.exchange = "'by_headers'",
                 .routing_key = "''",
                 .ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' || n END",
                 .headers = "CASE WHEN n <= 10 THEN '{\"for\": \"nobody\"}'::jsonb ELSE "
                            "'{\"for\": \"us\"}'::jsonb END"});
  start({{"OUTBOX_RETRY_MIN", "3s"}, {"OUTBOX_RETRY_MAX", "3s"}});
  EXPECT_TRUE(arrive_within(120s, "healthy", 2'000)) << relay->log();
  EXPECT_LE(std::stoi(db.value("SELECT max(attempts) FROM \"outbox\".messages")), 4);
  EXPECT_EQ(count("status = 'dead'"), 0);
  EXPECT_TRUE(eventually(20s, [&] { return count("status <> 'sent'") == 10; }));
}

TEST_F(destinations, a_key_whose_rows_alternate_between_a_held_and_a_healthy_one_keeps_its_order) {
  const int rows = scaled_rows(4'000, 40'000);
  // Keyless rows, so that the destination is held and not only the keys.
  insert(100, {.routing_key = "'missing'"});
  start(usual);
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 1; }))
      << relay->log();
  // Each key: one to the healthy queue, then by turns.
  insert(rows, {.routing_key = "CASE WHEN (n - 1) / 20 % 2 = 1 THEN 'missing' ELSE 'healthy' END",
                .ordering_key = "'k' || n % 20"});
  ASSERT_TRUE(arrive_within(30s, "healthy", 20));
  healthy = 20;
  EXPECT_LE(other_publishes_per_second(), handful);
  const auto early = take_all(amqp_url, "healthy");
  EXPECT_EQ(static_cast<int>(early.ids.size()), healthy)
      << "a row overtook an earlier one of its key, which waits for another destination";

  broker.declare_queue("missing");
  ASSERT_TRUE(all_sent_within(120s)) << relay->log();
  for (const std::string queue : {"missing", "healthy"}) {
    const auto got = take_all(amqp_url, queue);
    EXPECT_THAT(got.out_of_order, IsEmpty());
    EXPECT_EQ(static_cast<int>(got.ids.size()),
              queue == "missing" ? rows / 2 + 100 : rows / 2 - 20);
  }
}

TEST_F(destinations, a_holds_end_survives_a_restart_of_the_relay) {
  insert(1'000, {.routing_key = "'missing'", .ordering_key = "CASE WHEN n % 2 = 0 THEN 'k' END"});
  start(usual);
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 1; }))
      << relay->log();
  relay->kill(SIGKILL);
  start(usual);
  EXPECT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 1; }));
  EXPECT_LE(other_publishes_per_second(), handful);
  broker.declare_queue("missing");
  ASSERT_TRUE(all_sent_within(60s)) << relay->log();
  const auto got = take_all(amqp_url, "missing");
  EXPECT_EQ(got.ids.size(), 1'000u);
  EXPECT_THAT(got.out_of_order, IsEmpty());
}

// Nacks and acks come interleaved and cumulative: what was nacked is not taken for sent.
TEST_F(destinations,
       a_queue_that_takes_some_and_rejects_the_rest_gets_everything_once_there_is_room) {
  broker.declare_queue("small",
                       {.arguments = {{"x-max-length", amqp_value::int64(50)},
                                      {"x-overflow", amqp_value::text("reject-publish")}}});
  insert(4'000, {.routing_key = "CASE WHEN n % 2 = 0 THEN 'small' ELSE 'healthy' END"});
  start(usual);
  ASSERT_TRUE(arrive_within(60s, "healthy", 2'000)) << relay->log();
  ASSERT_TRUE(eventually(30s, [&] { return failed("nacked") > 0; }));
  const int sent = count("status = 'sent' AND routing_key = 'small'");
  EXPECT_LE(sent, static_cast<int>(depth("small")));
  broker.consume("small");
  std::set<std::string> seen;
  const bool all = eventually(120s, [&] {
    while (const auto m = broker.next(100ms)) {
      seen.insert(m->properties.message_id.value());
      broker.ack(m->delivery_tag);
    }
    return seen.size() == 2'000;
  });
  EXPECT_TRUE(all) << seen.size() << "\n" << relay->log();
  EXPECT_TRUE(all_sent_within(20s));
}

// The others keep what they got each time, so every attempt is one more copy there: attempts are
// rare.
TEST_F(destinations,
       a_fanout_with_one_full_queue_copies_to_the_others_only_as_often_as_it_is_tried) {
  broker.declare_queue("full", {.arguments = {{"x-max-length", amqp_value::int64(0)},
                                              {"x-overflow", amqp_value::text("reject-publish")}}});
  broker.declare_exchange("all", "fanout");
  broker.bind("full", "all", "");
  broker.bind("q", "all", "");
  insert(2'000, {.exchange = "'all'", .routing_key = "''"});
  start(usual);
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 1; }))
      << relay->log();
  const double rate = other_publishes_per_second();
  EXPECT_LE(rate, handful);
  EXPECT_EQ(count("status = 'dead'"), 0);
  broker.unbind("full", "all", "");
  ASSERT_TRUE(all_sent_within(60s)) << relay->log();
  EXPECT_EQ(take_all(amqp_url, "q").ids.size(), 2'000u);
}

}  // namespace
}  // namespace outboxd::tests
