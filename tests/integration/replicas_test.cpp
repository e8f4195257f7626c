// Several instances of outboxd beside one database: one leads, the others stand by, and they may be
// restarted, killed and paused under load.
#include <array>
#include <csignal>
#include <random>
#include <thread>

#include "tests/integration/database_fault.hpp"
#include "tests/support/scale.hpp"

namespace outboxd::tests {
namespace {

using testing::HasSubstr;

class replicas : public database_fault {
 protected:
  static constexpr int count = 3;
  static constexpr std::size_t window = 2'048;  // OUTBOX_MAX_IN_FLIGHT
  static constexpr std::size_t unmarked = 5'000;

  replicas() {
    for (int n = 0; n < count; ++n) start_one(n);
    EXPECT_TRUE(eventually(30s, [&] { return leader() >= 0; }));
  }

  void start_one(int n) {
    all.at(static_cast<std::size_t>(n)) =
        start(db.url(), {{"OUTBOX_INSTANCE_ID", "replica-" + std::to_string(n)}});
  }
  sidecar& one(int n) { return *all.at(static_cast<std::size_t>(n)); }

  // A replica that does not answer leads nothing that counts.
  bool is_leader(int n) {
    return one(n).get("/metrics").find("\noutbox_leader 1") != std::string::npos;
  }
  int leader() {  // -1: nobody
    for (int n = 0; n < count; ++n) {
      if (is_leader(n)) return n;
    }
    return -1;
  }
  bool stands_by(int n) {
    return one(n).get("/readyz?verbose").find("standby") != std::string::npos;
  }

  int sent() { return number("SELECT count(*) FROM outbox.messages WHERE status = 'sent'"); }
  void await_progress() {
    const int before = sent();
    ASSERT_TRUE(eventually(30s, [&] { return sent() >= before + 100; }));
  }

  // Between two marks, while the writers went on: a figure, not a limit.
  std::string longest_pause() {
    return ask(
        "SELECT round(1000 * max(extract(epoch FROM pause))) || ' ms' FROM (SELECT sent_at -"
        " lag(sent_at) OVER (ORDER BY sent_at) AS pause FROM outbox.messages) AS sent");
  }

  std::array<std::unique_ptr<sidecar>, count> all;
};

TEST_F(replicas, one_leads_and_says_so_everywhere) {
  const int leads = leader();
  ASSERT_TRUE(eventually(30s, [&] {
    int standing = 0;
    for (int n = 0; n < count; ++n) standing += stands_by(n) ? 1 : 0;
    return standing == count - 1;
  }));
  const std::string name = "replica-" + std::to_string(leads);
  EXPECT_TRUE(eventually(30s, [&] {
    return one((leads + 1) % count).get("/readyz?verbose").find("led by " + name) !=
           std::string::npos;
  })) << one((leads + 1) % count).get("/readyz?verbose");
  EXPECT_THAT(one(leads).log(), HasSubstr("lead.gained"));
  EXPECT_EQ(ask("SELECT holder FROM outbox.lead"), name);
  EXPECT_EQ(
      number("SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)"
             " WHERE l.locktype = 'advisory' AND l.mode = 'ExclusiveLock' AND a.application_name "
             "LIKE '%" +
             name +
             "%' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
             " AND l.granted AND l.objid = 1"),
      1);
}

// A stand-by is one idle session and no connection to the broker; one that has led before is no
// different.
TEST_F(replicas, a_stand_by_that_has_led_before_keeps_nothing_open) {
  const int first = leader();
  ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE"
      " '%replica-" +
      std::to_string(first) + "%'");
  one(first).kill(SIGSTOP);
  ASSERT_TRUE(eventually(30s, [&] {
    for (int n = 0; n < count; ++n) {
      if (n != first && is_leader(n)) return true;
    }
    return false;
  }));
  one(first).kill(SIGCONT);
  ASSERT_TRUE(eventually(30s, [&] { return stands_by(first); })) << one(first).log();
  EXPECT_TRUE(eventually(30s, [&] {
    return number("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%replica-" +
                  std::to_string(first) + "%'") == 1;
  }));
  EXPECT_EQ(one(first).metric("outbox_broker_connected"), 0);
}

TEST_F(replicas, restarted_in_turn_under_load_nothing_is_sent_twice) {
  writers load(db.url(), 3);
  for (int round = 0; round < 2; ++round) {
    for (int n = 0; n < count; ++n) {
      await_progress();
      one(n).kill(SIGTERM);
      const auto ended = one(n).wait(30s);
      ASSERT_TRUE(ended.has_value()) << one(n).log();
      start_one(n);
    }
  }
  await_progress();
  expect_everything_delivered(one(0), &load);
  EXPECT_EQ(got.duplicates, 0u);
  std::printf("longest pause in delivery: %s\n", longest_pause().c_str());
}

TEST_F(replicas, killed_at_random_under_load_nothing_is_lost_or_out_of_order) {
  const int kills = scaled(12, 50);
  writers load(db.url(), 3);
  std::minstd_rand luck(7);
  for (int k = 0; k < kills; ++k) {
    await_progress();
    // Half of them hit the leader for certain.
    const int leads = leader();
    const int victim = k % 2 == 0 && leads >= 0 ? leads : static_cast<int>(luck() % count);
    one(victim).kill(SIGKILL);
    one(victim).wait(10s);
    start_one(victim);
  }
  await_progress();
  expect_everything_delivered(one(0), &load);
  EXPECT_LE(got.duplicates, static_cast<std::size_t>(kills) * (window + unmarked));
  std::printf("%zu duplicates after %d kills, longest pause %s\n", got.duplicates, kills,
              longest_pause().c_str());
}

// Its packets go nowhere and none comes back: to both servers it looks alive, and idle.
TEST_F(replicas, a_leader_whose_host_vanishes_under_load_is_replaced) {
  tcp_gate database(shared_postgres().port()), messages(shared_rabbitmq().port());
  for (int n = 0; n < count; ++n) one(n).kill(SIGTERM);
  for (int n = 0; n < count; ++n) one(n).wait(30s);
  all[0] = std::make_unique<sidecar>(database.through(db.url()), messages.through(amqp_url),
                                     sidecar::settings{{"OUTBOX_INSTANCE_ID", "replica-0"}});
  one(0).await_ready();
  start_one(1);
  start_one(2);
  writers load(db.url(), 3);
  await_progress();
  database.stall(direction::both);
  messages.stall(direction::both);
  ASSERT_TRUE(eventually(30s, [&] {
    return one(1).metric("outbox_leader") == 1 || one(2).metric("outbox_leader") == 1;
  })) << one(1).log();
  await_progress();
  database.pass();
  messages.pass();
  ASSERT_TRUE(eventually(60s, [&] { return stands_by(0); })) << one(0).log();
  expect_everything_delivered(one(1), &load);
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE attempts > 0"), 0);
  EXPECT_LE(got.duplicates, window + unmarked);
}

// Longer than the server waits for it. It wakes up with rows that another has sent long ago.
TEST_F(replicas, a_paused_leader_loses_the_lead_and_disturbs_nobody_when_it_wakes) {
  const int pauses = scaled(2, 10);
  writers load(db.url(), 3);
  for (int pause = 0; pause < pauses; ++pause) {
    await_progress();
    const int paused = leader();
    ASSERT_GE(paused, 0);
    one(paused).kill(SIGSTOP);
    const auto since = std::chrono::steady_clock::now();
    ASSERT_TRUE(eventually(30s, [&] {
      for (int n = 0; n < count; ++n) {
        if (n != paused && one(n).metric("outbox_leader") == 1) return true;
      }
      return false;
    }));
    await_progress();
    std::this_thread::sleep_until(since + scaled(0s, 30s));
    one(paused).kill(SIGCONT);
    ASSERT_TRUE(eventually(30s, [&] { return stands_by(paused); })) << one(paused).log();
  }
  expect_everything_delivered(one(0), &load);
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE attempts > 0"), 0);
  EXPECT_LE(got.duplicates, static_cast<std::size_t>(pauses) * (window + unmarked));
  std::printf("%zu duplicates after %d pauses\n", got.duplicates, pauses);
}

}  // namespace
}  // namespace outboxd::tests
