// The program as an operator meets it: exit statuses, logs, health, and what it does when something
// it needs is not there yet.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>

#include "service/health_probe.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/servers.hpp"

namespace outboxd {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using tests::eventually;
using tests::exit_status;
using environment = std::map<std::string, std::string>;

// Port 1 is privileged and unused: whoever connects is refused at once.
const environment nothing_there{{"OUTBOX_DATABASE_URL", "postgresql://127.0.0.1:1/none"},
                                {"OUTBOX_AMQP_URL", "amqp://127.0.0.1:1"},
                                {"OUTBOX_HTTP_LISTEN", "127.0.0.1:0"},
                                {"OUTBOX_ADMIN_LISTEN", "127.0.0.1:0"}};

environment with(environment base, const environment& more) {
  for (const auto& [name, value] : more) base.insert_or_assign(name, value);
  return base;
}

struct finished {
  exit_status status;
  std::string out, err;
};

finished run_once(const std::vector<std::string>& arguments, const environment& env) {
  std::vector<std::string> argv{OUTBOXD_PROGRAM};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  tests::child_process child({argv, env});
  const auto status = child.wait(60s);
  if (!status) throw std::runtime_error("still running: " + child.err());
  return {*status, child.out(), child.err()};
}

class running_outboxd {
 public:
  explicit running_outboxd(const environment& env,
                           const std::vector<std::string>& argv = {OUTBOXD_PROGRAM, "run"})
      : child_({argv, env}) {
    if (!eventually(20s, [this] { return line("service.started").has_value(); })) {
      throw std::runtime_error("did not start: " + child_.err());
    }
    port_ = static_cast<std::uint16_t>(line("service.started")->at("http_port").to_number<int>());
  }

  // The first log line with that event.
  std::optional<boost::json::object> line(std::string_view event) const {
    std::istringstream in(child_.err());
    for (std::string text; std::getline(in, text);) {
      boost::system::error_code not_complete_yet;
      const auto parsed = boost::json::parse(text, not_complete_yet);
      if (!not_complete_yet && parsed.at("event").as_string() == event) return parsed.as_object();
    }
    return std::nullopt;
  }

  base::result<std::string> get(const std::string& target) const {
    return service::probe({"127.0.0.1", port_}, target, 30s);
  }
  std::string readiness() const {
    const auto answer = get("/readyz?verbose");
    return answer ? *answer : answer.error().text;
  }
  bool becomes_ready() const {
    return eventually(30s, [this] { return get("/readyz").has_value(); });
  }

  std::optional<exit_status> stop(int signal = SIGTERM) {
    child_.kill(signal);
    return child_.wait(20s);
  }
  tests::child_process& child() { return child_; }
  std::uint16_t port() const { return port_; }

 private:
  tests::child_process child_;
  std::uint16_t port_ = 0;
};

environment real_servers() {
  tests::start_shared_servers();
  auto& broker = tests::shared_rabbitmq();
  return {{"OUTBOX_DATABASE_URL", tests::shared_postgres().create_database()},
          {"OUTBOX_AMQP_URL", broker.url(broker.create_vhost())},
          {"OUTBOX_HTTP_LISTEN", "127.0.0.1:0"},
          {"OUTBOX_ADMIN_LISTEN", "127.0.0.1:0"}};
}

TEST(process, bad_configuration_is_reported_whole_and_exits_with_78) {
  const auto end = run_once(
      {},
      {{"OUTBOX_BATCH_SIZE", "0"}, {"OUTBOX_RETENTION", "24"}, {"OUTBOX_ADMIN_LISTEN", "[::]:1"}});
  EXPECT_EQ(end.status, (exit_status{78, 0}));
  EXPECT_THAT(end.err, AllOf(HasSubstr("OUTBOX_BATCH_SIZE=0"), HasSubstr("OUTBOX_RETENTION=24"),
                             HasSubstr("OUTBOX_ADMIN_LISTEN=[::]:1 is not a loopback address"),
                             HasSubstr("OUTBOX_ADMIN_TOKEN_FILE")));
  EXPECT_THAT(end.out, IsEmpty());
}

TEST(process, a_wrong_verb_exits_with_64_and_a_failing_dependency_with_69) {
  EXPECT_EQ(run_once({"fly"}, {}).status.code, 64);
  EXPECT_EQ(run_once({"replay"}, {}).status.code, 64);
  EXPECT_EQ(run_once({"migrate", "status"}, nothing_there).status.code, 69);
  const auto check = run_once({"check"}, nothing_there);
  EXPECT_EQ(check.status.code, 69);
  EXPECT_THAT(check.out, AllOf(HasSubstr("ok    settings"), HasSubstr("FAIL  broker")));
}

TEST(process, results_go_to_stdout) {
  EXPECT_THAT(run_once({"version"}, {}).out, HasSubstr("outboxd "));
  EXPECT_THAT(run_once({"config"}, {}).out, HasSubstr("OUTBOX_SCHEMA"));
  EXPECT_THAT(run_once({"--help"}, {}).out, HasSubstr("OUTBOX_SCHEMA"));
  EXPECT_THAT(run_once({"migrate", "print"}, {}).out, HasSubstr("CREATE"));
}

TEST(process, healthcheck_answers_by_exit_status) {
  running_outboxd outboxd(nothing_there);
  const environment env{{"OUTBOX_HTTP_LISTEN", "127.0.0.1:" + std::to_string(outboxd.port())}};
  EXPECT_EQ(run_once({"healthcheck"}, env).status.code, 0);
  EXPECT_EQ(run_once({"healthcheck", "--ready"}, env).status.code, 1);
  EXPECT_EQ(run_once({"healthcheck"}, {{"OUTBOX_HTTP_LISTEN", "127.0.0.1:1"}}).status.code, 1);
}

TEST(process, run_outlives_missing_dependencies_says_so_and_stops_cleanly) {
  running_outboxd outboxd(
      with(nothing_there, {{"OUTBOX_INSTANCE_ID", "pod-1"}, {"OUTBOX_BACH_SIZE", "1"}}));
  EXPECT_TRUE(outboxd.get("/livez"));
  EXPECT_TRUE(outboxd.get("/startupz"));
  EXPECT_TRUE(eventually(20s, [&] {
    return outboxd.readiness().find("[-]database not ok: ") != std::string::npos;
  })) << outboxd.readiness();
  EXPECT_EQ(outboxd.line("service.started")->at("instance").as_string(), "pod-1");
  EXPECT_TRUE(outboxd.line("settings.unknown"));
  EXPECT_THAT(*outboxd.get("/metrics"), HasSubstr("\noutbox_db_connected 0\n"));
  EXPECT_EQ(outboxd.stop(), (exit_status{0, 0})) << outboxd.child().err();
  EXPECT_TRUE(outboxd.line("service.draining"));
  EXPECT_TRUE(outboxd.line("service.stopped"));
}

TEST(process, an_interrupt_is_a_termination) {
  running_outboxd outboxd(nothing_there);
  EXPECT_EQ(outboxd.stop(SIGINT), (exit_status{0, 0}));
}

#ifdef SYS_epoll_wait
constexpr long poll_call = SYS_epoll_wait;
#else
constexpr long poll_call = SYS_epoll_pwait;
#endif

// Of a process of several threads, the debugger's call stops this one only. Not while it starts
// (there is no watchdog yet), nor with a lock of the log or of a library in its hands, which the
// watchdog needs to speak: in the poll where it spends its life.
bool stop_io_thread(pid_t pid) {
  const std::string in_poll = std::to_string(poll_call) + " ";
  return eventually(20s, [&] {
    int status = 0;
    if (::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) return false;
    if (::waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return false;
    std::string system_call;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/syscall"), system_call);
    if (system_call.starts_with(in_poll)) return true;
    ::ptrace(PTRACE_CONT, pid, nullptr, nullptr);
    return false;
  });
}

TEST(process, a_hung_io_thread_ends_the_process_with_70_so_that_it_is_replaced) {
  running_outboxd outboxd(nothing_there);
  const auto pid = outboxd.child().pid();
  ASSERT_TRUE(outboxd.get("/livez")) << "it does not turn";
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0)
      << "this machine does not let a process trace its own child: allow ptrace (in a container, "
         "--cap-add=SYS_PTRACE)";
  ASSERT_TRUE(stop_io_thread(pid));
  EXPECT_EQ(outboxd.child().wait(90s), (exit_status{70, 0})) << outboxd.child().err();
  ASSERT_TRUE(outboxd.line("service.hung"));
  EXPECT_GE(outboxd.line("service.hung")->at("silent_ms").to_number<int>(), 30'000);
}

TEST(process, a_taken_port_is_a_configuration_error) {
  running_outboxd first(nothing_there);
  const auto second = run_once(
      {"run"},
      with(nothing_there, {{"OUTBOX_HTTP_LISTEN", "127.0.0.1:" + std::to_string(first.port())}}));
  EXPECT_EQ(second.status.code, 78);
  EXPECT_THAT(second.err, HasSubstr("OUTBOX_HTTP_LISTEN"));
  const auto third = run_once(
      {"run"},
      with(nothing_there, {{"OUTBOX_ADMIN_LISTEN", "127.0.0.1:" + std::to_string(first.port())}}));
  EXPECT_EQ(third.status.code, 78);
  EXPECT_THAT(third.err, HasSubstr("OUTBOX_ADMIN_LISTEN"));
}

// A command where /proc has processes only, as under ProcSubset=pid of the systemd unit. Needs
// root.
std::vector<std::string> with_processes_only(std::vector<std::string> command) {
  command.insert(
      command.begin(),
      {"unshare", "--mount", "sh", "-ec",
       "mount -t proc -o subset=pid proc /proc; test ! -e /proc/stat; exec \"$@\"", "sh"});
  return command;
}

TEST(process, knows_when_it_started_where_proc_has_processes_only) {
  tests::child_process possible({with_processes_only({"true"})});
  if (possible.wait(30s) != exit_status{0, 0})
    GTEST_SKIP() << "no such /proc can be made here, which wants root: " << possible.err();
  running_outboxd outboxd(nothing_there, with_processes_only({OUTBOXD_PROGRAM, "run"}));
  const std::string sample = "\nprocess_start_time_seconds ", metrics = *outboxd.get("/metrics");
  const auto at = metrics.find(sample);
  ASSERT_NE(at, std::string::npos) << metrics;
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  EXPECT_NEAR(std::stod(metrics.substr(at + sample.size())), now.count(), 60);
}

// Of two processes with the default at most one has it; both run.
TEST(process, a_default_admin_port_that_is_taken_is_a_warning) {
  auto env = nothing_there;
  env.erase("OUTBOX_ADMIN_LISTEN");
  running_outboxd first(env), second(env);
  EXPECT_TRUE(second.line("admin.not_listening")) << "or else the first, if a third has the port";
  EXPECT_EQ(second.line("service.started")->at("admin_port").to_number<int>(), 0);
  EXPECT_EQ(second.stop(), (exit_status{0, 0}));
}

TEST(process, the_admin_listener_can_be_switched_off) {
  running_outboxd outboxd(with(nothing_there, {{"OUTBOX_ADMIN_LISTEN", "off"}}));
  EXPECT_EQ(outboxd.line("service.started")->at("admin_port").to_number<int>(), 0);
  EXPECT_FALSE(outboxd.line("admin.not_listening"));
}

TEST(process, it_waits_for_the_schema_and_goes_on_by_itself) {
  const auto env = real_servers();
  running_outboxd outboxd(env);
  EXPECT_TRUE(eventually(30s, [&] {
    return outboxd.readiness().find("[-]schema not ok") != std::string::npos;
  })) << outboxd.readiness();
  EXPECT_EQ(run_once({"migrate", "up"}, env).status.code, 0);
  EXPECT_TRUE(outboxd.becomes_ready()) << outboxd.readiness();
  EXPECT_THAT(*outboxd.get("/metrics"),
              AllOf(HasSubstr("\noutbox_leader 1\n"), HasSubstr("\noutbox_schema_version 2\n")));
  const auto check = run_once({"check"}, env);
  EXPECT_EQ(check.status.code, 0) << check.out;
  EXPECT_EQ(outboxd.stop(), (exit_status{0, 0})) << outboxd.child().err();
}

TEST(process, auto_migrate_needs_no_second_command) {
  running_outboxd outboxd(with(real_servers(), {{"OUTBOX_AUTO_MIGRATE", "true"}}));
  EXPECT_TRUE(outboxd.becomes_ready()) << outboxd.readiness();
  EXPECT_TRUE(outboxd.line("schema.migrated"));
}

TEST(process, a_second_instance_stands_by_is_ready_and_takes_over) {
  const auto env = with(real_servers(), {{"OUTBOX_AUTO_MIGRATE", "true"}});
  running_outboxd first(env);
  ASSERT_TRUE(first.becomes_ready()) << first.readiness();
  running_outboxd second(env);
  ASSERT_TRUE(second.becomes_ready()) << second.readiness();
  EXPECT_THAT(second.readiness(), HasSubstr("lead ok: standby"));
  EXPECT_THAT(*second.get("/metrics"), AllOf(HasSubstr("\noutbox_leader 0\n"),
                                             Not(HasSubstr("outbox_oldest_pending_age_seconds"))));
  EXPECT_EQ(first.stop(), (exit_status{0, 0})) << first.child().err();
  EXPECT_TRUE(eventually(20s, [&] {
    return second.readiness().find("lead ok: leading") != std::string::npos;
  })) << second.readiness();
}

TEST(process, no_log_line_shows_a_secret) {
  running_outboxd without_database(
      with(nothing_there, {{"OUTBOX_LOG_LEVEL", "debug"},
                           {"OUTBOX_DATABASE_URL", "postgresql://u:verysecret@127.0.0.1:1/none"}}));
  EXPECT_TRUE(eventually(20s, [&] { return without_database.line("lead.state").has_value(); }));
  without_database.stop();
  EXPECT_THAT(without_database.child().err(), Not(HasSubstr("verysecret")));

  running_outboxd without_broker(
      with(real_servers(), {{"OUTBOX_LOG_LEVEL", "debug"},
                            {"OUTBOX_AUTO_MIGRATE", "true"},
                            {"OUTBOX_AMQP_URL", "amqp://u:verysecret@127.0.0.1:1"}}));
  EXPECT_TRUE(
      eventually(20s, [&] { return without_broker.line("amqp.connect_failed").has_value(); }));
  without_broker.stop();
  EXPECT_THAT(without_broker.child().err(), Not(HasSubstr("verysecret")));
}

}  // namespace
}  // namespace outboxd
