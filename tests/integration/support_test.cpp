#include "tests/support/child_process.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"

#include <gtest/gtest.h>

#include <pqxx/pqxx>

#include <csignal>
#include <filesystem>

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

std::string answer(const std::string& uri, const std::string& sql) {
  pqxx::connection connection(uri);
  return pqxx::nontransaction(connection).exec(sql)[0][0].as<std::string>();
}

TEST(child_process, captures_output_and_exit_status) {
  child_process child({{"sh", "-c", "echo out; echo err >&2; exit 3"}});
  EXPECT_EQ(child.wait(30s), (exit_status{3, 0}));
  EXPECT_EQ(child.out(), "out\n");
  EXPECT_EQ(child.err(), "err\n");
}

TEST(child_process, sees_the_given_environment_and_not_ours) {
  ::setenv("OUTBOX_LEAK", "1", 1);
  EXPECT_EQ(run({{"sh", "-c", "echo $GIVEN-$OUTBOX_LEAK"}, {{"GIVEN", "yes"}}}), "yes-\n");
}

TEST(child_process, reports_the_signal_that_ended_it) {
  child_process child({{"sleep", "1000"}});
  EXPECT_TRUE(child.running());
  child.kill(SIGKILL);
  EXPECT_EQ(child.wait(30s), (exit_status{0, SIGKILL}));
}

TEST(child_process, a_program_that_fails_throws_with_its_output) {
  EXPECT_THROW(run({{"sh", "-c", "echo why >&2; exit 1"}}), std::runtime_error);
  EXPECT_THROW(run({{"/no/such/program"}}), std::system_error);
}

TEST(servers, both_start_and_hand_out_fresh_databases_and_vhosts) {
  start_shared_servers();
  const std::string first = shared_postgres().create_database();
  const std::string second = shared_postgres().create_database();
  EXPECT_NE(first, second);
  EXPECT_EQ(answer(first, "SELECT current_database()"), "test_1");

  const std::string vhost = shared_rabbitmq().create_vhost();
  EXPECT_NE(shared_rabbitmq().ctl({"list_vhosts"}).find(vhost), std::string::npos);
  EXPECT_THROW(shared_rabbitmq().ctl({"no_such_command"}), std::runtime_error);
}

TEST(servers, what_postgres_has_committed_survives_kill_and_stop) {
  postgres_server& postgres = shared_postgres();
  const std::string uri = postgres.create_database();
  {
    pqxx::connection connection(uri);
    pqxx::nontransaction tx(connection);
    tx.exec("CREATE TABLE t (n int)");
    tx.exec("INSERT INTO t VALUES (1)");
  }
  postgres.kill();
  EXPECT_THROW(answer(uri, "SELECT 1"), pqxx::broken_connection);
  postgres.start();
  EXPECT_EQ(answer(uri, "SELECT count(*) FROM t"), "1");
  postgres.stop(stop_mode::immediate);
  postgres.start();
  postgres.stop(stop_mode::fast);
  postgres.start();
  EXPECT_EQ(answer(uri, "SELECT count(*) FROM t"), "1");
}

TEST(servers, rabbitmq_keeps_vhosts_over_stop_and_kill) {
  rabbitmq_server& broker = shared_rabbitmq();
  const std::string vhost = broker.create_vhost();
  broker.stop();
  EXPECT_THROW(broker.ctl({"list_vhosts"}), std::runtime_error);
  broker.start();
  broker.kill();
  broker.start();
  EXPECT_NE(broker.ctl({"list_vhosts"}).find(vhost), std::string::npos);
}

}  // namespace
}  // namespace outboxd::tests
