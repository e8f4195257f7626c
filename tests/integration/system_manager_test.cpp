// What systemd hears of a process that it starts with Type=notify and WatchdogSec: a socket of the
// test's own takes systemd's part (sd_notify(3)).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "tests/support/child_process.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

class system_manager : public testing::Test {
 protected:
  system_manager() : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
      throw std::runtime_error("cannot bind " + path_);
  }
  ~system_manager() override {
    ::close(socket_);
    ::unlink(path_.c_str());
  }

  child_process start(const std::string& database = "postgresql://127.0.0.1:1/none",
                      const std::string& broker = "amqp://127.0.0.1:1") const {
    return child_process({{OUTBOXD_PROGRAM, "run"},
                          {{"OUTBOX_DATABASE_URL", database},
                           {"OUTBOX_AMQP_URL", broker},
                           {"OUTBOX_HTTP_LISTEN", "127.0.0.1:0"},
                           {"OUTBOX_ADMIN_LISTEN", "off"},
                           {"NOTIFY_SOCKET", path_},
                           {"WATCHDOG_USEC", "200000"}}});
  }

  // Everything so far.
  const std::vector<std::string>& heard() {
    char text[8192];
    for (ssize_t n; (n = ::recv(socket_, text, sizeof(text), 0)) > 0;)
      heard_.emplace_back(text, static_cast<std::size_t>(n));
    return heard_;
  }
  std::ptrdiff_t times(const std::string& what) { return std::ranges::count(heard(), what); }
  // Something that says all of this.
  bool heard_of(std::initializer_list<std::string> words) {
    return std::ranges::any_of(heard(), [&](const std::string& said) {
      return std::ranges::all_of(words, [&](const auto& w) { return said.find(w) != said.npos; });
    });
  }

 private:
  const std::string path_ = (scratch_directory() / "notify").string();
  const int socket_;
  std::vector<std::string> heard_;
};

// Its servers are away: it has started all the same, and waits for them.
TEST_F(system_manager, hears_that_it_is_up_what_it_does_that_it_lives_and_that_it_ends) {
  auto outboxd = start();
  ASSERT_TRUE(eventually(30s, [&] { return times("READY=1") == 1; })) << outboxd.err();
  EXPECT_TRUE(eventually(30s, [&] { return times("WATCHDOG=1") >= 3; }));
  EXPECT_TRUE(eventually(30s, [&] { return heard_of({"STATUS=not ready: database: "}); }));
  EXPECT_EQ(times("STOPPING=1"), 0);
  outboxd.kill(SIGTERM);
  ASSERT_TRUE(outboxd.wait(30s).has_value()) << outboxd.err();
  EXPECT_EQ(times("STOPPING=1"), 1);
  EXPECT_EQ(times("READY=1"), 1);
}

// A line of its own would be an assignment of its own: WATCHDOG=trigger ends the process. What is
// longer than PIPE_BUF systemd does not even read.
TEST_F(system_manager, hears_nothing_that_an_operator_did_not_mean_for_it) {
  outbox_database db;
  db.run(R"(ALTER TABLE "outbox".pauses
            DROP CONSTRAINT IF EXISTS pauses_exchange_and_reason_have_no_control_characters)");
  db.run(R"(INSERT INTO "outbox".pauses (reason) VALUES (E'x\nWATCHDOG=trigger'))");
  db.run(R"(INSERT INTO "outbox".pauses (ordering_key, reason)
            SELECT n::text, repeat('🐇', 1000) FROM generate_series(1, 8) AS n)");
  auto outboxd = start(db.url(), shared_rabbitmq().url(shared_rabbitmq().create_vhost()));
  ASSERT_TRUE(eventually(60s, [&] {
    return heard_of({"STATUS=leading", "WATCHDOG=trigger"});
  })) << outboxd.err();
  for (const std::string& said : heard()) {
    EXPECT_EQ(said.find('\n'), said.npos) << said;
    EXPECT_LT(said.size(), 4096u) << said;
  }
}

}  // namespace
}  // namespace outboxd::tests
