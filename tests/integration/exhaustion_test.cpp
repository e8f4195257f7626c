// Descriptors, disk and names run out around the process: it stays up, says so where it can, and
// goes on by itself.
#include <sys/resource.h>

#include <csignal>

#include "tests/integration/database_fault.hpp"
#include "tests/support/child_process.hpp"

namespace outboxd::tests {
namespace {

class exhaustion : public database_fault {
 protected:
  static rlim_t limit_descriptors(pid_t process, rlim_t most) {
    rlimit before{};
    if (::prlimit(process, RLIMIT_NOFILE, nullptr, &before) != 0)
      throw std::runtime_error("prlimit");
    const rlimit wanted{most, before.rlim_max};
    if (::prlimit(process, RLIMIT_NOFILE, &wanted, nullptr) != 0)
      throw std::runtime_error("prlimit");
    return before.rlim_cur;
  }
};

// What is open stays open; nothing can be opened.
TEST_F(exhaustion, without_descriptors_it_waits_and_with_them_it_goes_on) {
  const auto relay = start_ready(db.url(), {{"OUTBOX_INSTANCE_ID", "sut"}});
  const auto before = limit_descriptors(relay->pid(), 3);
  ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sut'");
  shared_rabbitmq().ctl({"close_all_connections", "--global", "maintenance"});
  broker = amqp_probe(amqp_url);
  insert(100, "q", "k");
  ASSERT_TRUE(eventually(20s, [&] {
    return relay->log().find("Too many open files") != std::string::npos ||
           relay->log().find("too many open files") != std::string::npos;
  })) << relay->log();
  EXPECT_TRUE(relay->running());
  EXPECT_EQ(unsent(), 100);
  limit_descriptors(relay->pid(), before);
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_EQ(relay->get("/livez"), "ok\n");
}

// Nobody reads the log and nothing can be written to it; rows go out all the same.
TEST_F(exhaustion, a_log_on_a_full_disk_stops_nothing) {
  child_process relay({.argv = {"/bin/sh", "-c", "exec \"$0\" run 2>/dev/full", OUTBOXD_BINARY},
                       .env = {{"OUTBOX_DATABASE_URL", db.url()},
                               {"OUTBOX_AMQP_URL", amqp_url},
                               {"OUTBOX_HTTP_LISTEN", "127.0.0.1:0"},
                               {"OUTBOX_ADMIN_LISTEN", "127.0.0.1:0"},
                               {"OUTBOX_LOG_LEVEL", "debug"}}});
  insert(100, "q", "k");
  insert(1, "nowhere");
  EXPECT_TRUE(eventually(30s, [&] { return unsent() == 1; }));
  relay.kill(SIGTERM);
  EXPECT_EQ(relay.wait(20s), (exit_status{.code = 0, .signal = 0}));
}

// A name that is not known (yet) is asked for again, and costs nothing while another host answers.
TEST_F(exhaustion, a_host_name_that_does_not_resolve_is_asked_for_again) {
  const std::string port = std::to_string(shared_postgres().port());
  const auto relay = start_ready(db.url() + "?host=database.invalid,127.0.0.1&port=" + port + "," +
                                 port + "&sslmode=disable");
  insert(10, "q", "k");
  expect_everything_delivered(*relay);

  const auto lost = start(db.url() + "?host=database.invalid&port=" + port + "&sslmode=disable");
  EXPECT_TRUE(eventually(30s, [&] {
    return lost->get("/readyz?verbose").find("database.invalid") != std::string::npos;
  })) << lost->log();
  EXPECT_EQ(lost->get("/livez"), "ok\n");
  lost->kill(SIGTERM);
  EXPECT_EQ(lost->wait(30s), (exit_status{.code = 0, .signal = 0}));
}

}  // namespace
}  // namespace outboxd::tests
