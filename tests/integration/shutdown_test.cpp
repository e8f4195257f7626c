// SIGTERM while something does not answer: the process ends within its time all the same, and says
// what it left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class shutdown : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  shutdown() { broker.declare_queue("q"); }

  std::unique_ptr<sidecar> start(const std::string& database_url) {
    return std::make_unique<sidecar>(
        database_url, amqp_through_gate,
        sidecar::settings{{"OUTBOX_SHUTDOWN_TIMEOUT", "1s"}, {"OUTBOX_INSTANCE_ID", "sidecar"}});
  }

  void insert(int count) {
    db.run(
        "INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload) SELECT 'q', 'k' || n "
        "% 10, n::text FROM generate_series(1, " +
        std::to_string(count) + ") AS n");
  }

  // Published, and the confirms are held back.
  void bring_into_doubt(sidecar& relay) {
    broker_gate.stall(direction::to_client);
    insert(10);
    ASSERT_TRUE(eventually(20s, [&] { return relay.metric("outbox_unconfirmed_messages") == 10; }))
        << relay.log();
  }

  void signal_backends(int signal) {
    for (const auto& row : backends) ::kill(row, signal);
  }
  void stop_backends() {
    // The writing lane connects when there is something to write or to count.
    ASSERT_TRUE(eventually(20s, [&] {
      return db.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sidecar'") ==
             "3";
    }));
    for (const auto& row :
         db.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'sidecar'")) {
      backends.push_back(row[0].as<int>());
    }
    signal_backends(SIGSTOP);
  }

  ~shutdown() override { signal_backends(SIGCONT); }

  static void expect_end(sidecar& relay, int code) {
    relay.kill(SIGTERM);
    const auto end = relay.wait(30s);
    ASSERT_TRUE(end) << relay.log();
    EXPECT_EQ(*end, (exit_status{code, 0})) << relay.log();
  }

  std::vector<int> backends;
  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  amqp_probe broker{amqp_url};
  tcp_gate broker_gate{shared_rabbitmq().port()};
  const std::string amqp_through_gate = broker_gate.through(amqp_url);
};

TEST_F(shutdown, a_broker_that_says_nothing_is_left_when_the_time_is_over) {
  auto relay = start(db.url());
  relay->await_ready();
  bring_into_doubt(*relay);
  broker_gate.stall(direction::both);
  expect_end(*relay, 75);
  EXPECT_TRUE(relay->logged("service.stopped")) << relay->log();
}

TEST_F(shutdown, a_database_that_says_nothing_is_left_when_the_time_is_over) {
  auto relay = start(db.url());
  relay->await_ready();
  bring_into_doubt(*relay);
  stop_backends();
  broker_gate.pass();  // now the confirms arrive, and no mark can be written
  expect_end(*relay, 75);
  EXPECT_TRUE(relay->logged("service.stopped")) << relay->log();
  signal_backends(SIGCONT);
  backends.clear();

  auto next = start(db.url());
  EXPECT_TRUE(eventually(60s, [&] {
    return db.value("SELECT count(*) FROM \"outbox\".messages WHERE status <> 'sent'") == "0";
  })) << next->log();
}

TEST_F(shutdown, an_alarm_of_the_broker_does_not_hold_it_up_and_nothing_is_lost) {
  struct alarm {
    alarm() { shared_rabbitmq().ctl({"set_vm_memory_high_watermark", "0.00000001"}); }
    ~alarm() { shared_rabbitmq().ctl({"set_vm_memory_high_watermark", "0.4"}); }
  };
  {
    auto relay = start(db.url());
    relay->await_ready();
    const alarm while_it_lasts;
    insert(500);
    ASSERT_TRUE(eventually(20s, [&] { return relay->metric("outbox_broker_blocked") == 1; }))
        << relay->log();
    EXPECT_FALSE(relay->get("/livez").empty());
    expect_end(*relay, 75);
    EXPECT_TRUE(relay->logged("service.stopped")) << relay->log();
  }
  auto next = start(db.url());
  EXPECT_TRUE(eventually(60s, [&] {
    return db.value("SELECT count(*) FROM \"outbox\".messages WHERE status <> 'sent'") == "0";
  })) << next->log();
  EXPECT_GE(broker.queue("q")->messages, 500u);
}

// libpq looks for a server on one address after the other, and nothing can end that.
TEST_F(shutdown, what_cannot_be_ended_is_named_and_ends_with_the_process) {
  tcp_gate silent(shared_postgres().port());
  silent.stall(direction::both);
  std::string hosts = "127.0.0.1", ports = std::to_string(silent.port());
  for (int i = 0; i < 9; ++i) {
    hosts += ",127.0.0.1";
    ports += "," + std::to_string(silent.port());
  }
  auto relay = start("host=" + hosts + " port=" + ports + " connect_timeout=5 user=nobody");
  ASSERT_TRUE(eventually(20s, [&] { return silent.connections() > 0; })) << relay->log();
  expect_end(*relay, 75);
  EXPECT_TRUE(relay->logged("service.shutdown_hung")) << relay->log();
  EXPECT_THAT(relay->log(), HasSubstr("pg-lead in connect"));
  EXPECT_THAT(relay->log(), Not(HasSubstr("service.stopped")));
}

}  // namespace
}  // namespace outboxd::tests
