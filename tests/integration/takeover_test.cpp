// The leader hangs, or its way to the database does: neither side is told. Another instance takes
// over, the order of each key holds, and what the old leader still decides means nothing.
#include <csignal>

#include "tests/integration/database_fault.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;

class takeover : public database_fault {
 protected:
  // What was unconfirmed, and acknowledged but not yet written down; see options and marks_at_once.
  static constexpr std::size_t in_flight_and_unmarked = 2'048 + 5'000;

  static bool leads(const sidecar& relay) { return relay.metric("outbox_leader") == 1; }
};

// Bytes go nowhere and nobody says so, as behind a firewall that forgot the connection.
TEST_F(takeover, a_database_that_says_nothing_any_more_costs_the_lead_on_both_sides) {
  tcp_gate way(shared_postgres().port());
  const auto first = start_ready(way.through(db.url()), {{"OUTBOX_INSTANCE_ID", "first"}});
  const auto second = start(db.url(), {{"OUTBOX_INSTANCE_ID", "second"}});
  ASSERT_TRUE(eventually(20s, [&] {
    return second->get("/readyz?verbose").find("standby") != std::string::npos;
  })) << second->log();
  writers load(db.url(), 3);
  ASSERT_TRUE(
      eventually(30s, [&] { return first->metric("outbox_messages_confirmed_total") >= 500; }));
  way.stall(direction::both);
  bool both = false;
  ASSERT_TRUE(eventually(30s, [&] {
    const bool second_leads = leads(*second);
    both |= second_leads && leads(*first);
    return second_leads;
  })) << second->log();
  EXPECT_FALSE(both) << "two leaders at once";
  EXPECT_THAT(first->get("/readyz?verbose"), HasSubstr("database not ok"));
  second->await_ready();
  EXPECT_TRUE(
      eventually(30s, [&] { return second->metric("outbox_messages_confirmed_total") >= 500; }));

  // The way opens again: the first one writes what it knew, and stands by.
  way.pass();
  ASSERT_TRUE(eventually(30s, [&] {
    return first->get("/readyz?verbose").find("standby") != std::string::npos;
  })) << first->log();
  expect_everything_delivered(*second, &load);
  EXPECT_LE(got.duplicates, in_flight_and_unmarked);
  std::printf("%zu duplicates after a silent loss of the database\n", got.duplicates);

  // Its other sessions have recovered too.
  second->kill(SIGKILL);
  ASSERT_TRUE(eventually(20s, [&] { return leads(*first); })) << first->log();
  insert(50, "q", "k");
  expect_everything_delivered(*first);
}

// As a virtual machine that is paused. What its broker said meanwhile it reads when it wakes up: a
// confirm, which is true whoever leads, and a return, which is for the new leader to judge.
TEST_F(takeover, a_leader_that_was_paused_decides_nothing_when_it_wakes_up) {
  tcp_gate rabbit(shared_rabbitmq().port());
  // The broker must not give a client up that is paused for as long as a take-over may last.
  sidecar first(db.url(), rabbit.through(amqp_url) + "?heartbeat=300",
                {{"OUTBOX_INSTANCE_ID", "first"}});
  first.await_ready();
  const auto second = start(
      db.url(),
      {{"OUTBOX_INSTANCE_ID", "second"}, {"OUTBOX_RETRY_MIN", "5m"}, {"OUTBOX_RETRY_MAX", "5m"}});
  ASSERT_TRUE(eventually(20s, [&] {
    return second->get("/readyz?verbose").find("standby") != std::string::npos;
  })) << second->log();
  rabbit.stall(direction::to_client);
  insert(20);
  insert(20, "q", "k");
  insert(1, "nowhere");
  ASSERT_TRUE(eventually(20s, [&] {
    return broker.queue("q")->messages == 21 && first.metric("outbox_unconfirmed_messages") == 22;
  })) << first.log();
  first.kill(SIGSTOP);
  rabbit.pass();
  ASSERT_TRUE(eventually(30s, [&] { return leads(*second); })) << second->log();
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 1; })) << second->log();
  ASSERT_TRUE(
      eventually(20s, [&] { return number("SELECT max(attempts) FROM outbox.messages") == 1; }));
  const auto decided = ask("SELECT due_at FROM outbox.messages WHERE attempts > 0");

  first.kill(SIGCONT);
  ASSERT_TRUE(eventually(20s, [&] {
    return first.get("/readyz?verbose").find("standby") != std::string::npos &&
           first.metric("outbox_unconfirmed_messages") == 0;
  })) << first.log();
  EXPECT_EQ(first.metric("outbox_messages_failed_total{reason=\"returned\"}"), 1)
      << "the test did not wake it up with a decision to make";
  EXPECT_EQ(ask("SELECT due_at FROM outbox.messages WHERE attempts > 0"), decided);
  EXPECT_EQ(number("SELECT max(attempts) FROM outbox.messages"), 1);
  ask("DELETE FROM outbox.messages WHERE attempts > 0 RETURNING id");
  expect_everything_delivered(*second);
  EXPECT_LE(got.duplicates, 40u) << "what it had in memory, and nothing else";
}

}  // namespace
}  // namespace outboxd::tests
