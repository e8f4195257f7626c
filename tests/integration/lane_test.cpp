#include "outbox/lane.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include <atomic>
#include <future>

#include "outbox/session.hpp"
#include "tests/support/run_until.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using base::failure_kind;
using outbox::lane;
using outbox::session;

class lane_test : public testing::Test {
 protected:
  static std::string url() {
    static const std::string made = shared_postgres().create_database();
    return made;
  }

  outbox::lane_options options() {
    outbox::lane_options o;
    o.name = "test";
    o.url = [] { return url(); };
    o.application_name = "lane test";
    o.jitter = [] { return 0.0; };
    o.on_query = [this](std::string_view operation, std::chrono::microseconds) {
      operations.emplace_back(operation);
    };
    o.on_reconnect = [this] { ++reconnects; };
    o.on_session_lost = [this](const base::failure& why) { losses.push_back(why); };
    o.on_notified = [this] { ++notified; };
    return o;
  }

  using answer = std::optional<base::result<std::string>>;

  void submit(lane& l, const std::string& sql, answer& into) {
    l.submit<std::string>(
        "test", [sql](session& db) { return first_value(db, sql); },
        [&into](base::result<std::string> got) { into.emplace(std::move(got)); });
  }

  base::result<std::string> ask(lane& l, const std::string& sql) {
    answer got;
    submit(l, sql, got);
    EXPECT_TRUE(run_until(context_, 30s, [&] { return got.has_value(); }));
    return got.value();
  }

  static std::string first_value(session& db, const std::string& sql) {
    const auto rows = db.run({sql.substr(0, 60), sql});
    return rows.empty() ? "" : rows[0][0].c_str();
  }

  boost::asio::io_context context_;
  std::vector<std::string> operations;
  std::vector<base::failure> losses;
  int reconnects = 0;
  int notified = 0;
};

TEST_F(lane_test, at_rest_it_has_a_session_only_while_a_job_waits) {
  lane watched(context_.get_executor(), options());
  lane other(context_.get_executor(), options());
  const auto sessions_but_mine = [&] {
    return ask(other,
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lane test'"
               " AND pid <> pg_backend_pid()")
        .value();
  };
  ASSERT_EQ(ask(watched, "SELECT 1").value(), "1");
  EXPECT_EQ(sessions_but_mine(), "1");
  watched.rest(true);
  EXPECT_TRUE(run_until(context_, 30s, [&] { return sessions_but_mine() == "0"; }));
  EXPECT_EQ(ask(watched, "SELECT 2").value(), "2") << "a job is a job";
  EXPECT_TRUE(run_until(context_, 30s, [&] { return sessions_but_mine() == "0"; }));
  watched.rest(false);
  EXPECT_EQ(reconnects, 0) << "nothing was lost";
  EXPECT_TRUE(losses.empty());
}

TEST_F(lane_test, a_job_is_answered_on_the_executor) {
  lane l(context_.get_executor(), options());
  EXPECT_EQ(ask(l, "SELECT 'hello'").value(), "hello");
  EXPECT_EQ(operations, std::vector<std::string>{"test"});
}

TEST_F(lane_test, the_executor_runs_until_every_job_is_answered) {
  lane l(context_.get_executor(), options());
  answer got;
  submit(l, "SELECT pg_sleep(0.2)", got);
  context_.run();
  EXPECT_TRUE(got.has_value());
}

TEST_F(lane_test, jobs_run_one_after_the_other_in_their_order) {
  lane l(context_.get_executor(), options());
  answer first, second;
  submit(l, "SELECT pg_sleep(0.1), 1", first);
  submit(l, "SELECT 2", second);
  ASSERT_TRUE(run_until(context_, 30s, [&] { return first.has_value(); }));
  ASSERT_TRUE(run_until(context_, 30s, [&] { return second.has_value(); }));
  EXPECT_EQ(second->value(), "2");
}

TEST_F(lane_test, an_error_says_what_kind_it_is) {
  lane l(context_.get_executor(), options());
  EXPECT_EQ(ask(l, "SELECT FROM nowhere").error().kind, failure_kind::not_ready);
  EXPECT_EQ(ask(l, "SELECT FROM pg_authid, no_schema.t").error().kind, failure_kind::not_ready);
  EXPECT_EQ(ask(l, "nonsense").error().kind, failure_kind::rejected);
  EXPECT_EQ(ask(l, "SELECT 1 / 0").error().kind, failure_kind::rejected);
  EXPECT_EQ(ask(l, "SELECT 1").value(), "1") << "the session goes on";
  EXPECT_TRUE(losses.empty());
}

TEST_F(lane_test, a_missing_grant_is_forbidden) {
  lane l(context_.get_executor(), options());
  ask(l, "SET ROLE pg_monitor");
  EXPECT_EQ(ask(l, "SELECT FROM pg_authid").error().kind, failure_kind::forbidden);
}

TEST_F(lane_test, settings_hold_for_the_session) {
  auto o = options();
  o.settings = {{"statement_timeout", "100ms"}};
  lane l(context_.get_executor(), std::move(o));
  EXPECT_EQ(ask(l, "SHOW statement_timeout").value(), "100ms");
  EXPECT_EQ(ask(l, "SHOW application_name").value(), "lane test");
  EXPECT_EQ(ask(l, "SHOW bytea_output").value(), "hex");
  EXPECT_EQ(ask(l, "SELECT pg_sleep(60)").error().kind, failure_kind::cancelled);
  EXPECT_EQ(ask(l, "SELECT 1").value(), "1");
  EXPECT_TRUE(losses.empty()) << "a time limit costs the statement, not the session";
}

TEST_F(lane_test, a_read_only_server_costs_the_session) {
  lane l(context_.get_executor(), options());
  ask(l, "SET default_transaction_read_only = on");
  EXPECT_EQ(ask(l, "CREATE TABLE t ()").error().kind, failure_kind::unavailable);
  EXPECT_EQ(ask(l, "SHOW default_transaction_read_only").value(), "off");
  EXPECT_EQ(losses.size(), 1u);
  EXPECT_EQ(reconnects, 1);
}

TEST_F(lane_test, a_session_that_ends_while_idle_is_noticed_and_replaced) {
  lane l(context_.get_executor(), options());
  lane other(context_.get_executor(), options());
  const auto pid = ask(l, "SELECT pg_backend_pid()").value();
  ask(other, "SELECT pg_terminate_backend(" + pid + ")");
  ASSERT_TRUE(run_until(context_, 30s, [&] { return losses.size() == 1; }));
  EXPECT_EQ(losses[0].kind, failure_kind::unavailable);
  EXPECT_NE(ask(l, "SELECT pg_backend_pid()").value(), pid);
  EXPECT_EQ(reconnects, 1);
}

TEST_F(lane_test, an_abandoned_session_ends_at_once_whatever_it_does) {
  lane l(context_.get_executor(), options());
  ask(l, "SELECT 1");
  answer got;
  submit(l, "SELECT pg_sleep(600)", got);
  lane other(context_.get_executor(), options());
  ASSERT_TRUE(run_until(context_, 30s, [&] {
    return ask(other, "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'")
               .value() == "1";
  }));
  l.abandon_session();
  ASSERT_TRUE(run_until(context_, 30s, [&] { return got.has_value(); }));
  EXPECT_EQ(got->error().kind, failure_kind::unavailable);
  EXPECT_EQ(ask(l, "SELECT 1").value(), "1");
  ask(other,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT "
      "pg_sleep(600)'");
}

// The gate's kernel acknowledges what we send: neither keepalives nor tcp_user_timeout notice.
TEST_F(lane_test, a_server_that_goes_silent_costs_the_session_and_nothing_more) {
  tcp_gate gate(shared_postgres().port());
  auto o = options();
  o.url = [port = std::to_string(gate.port())] { return url() + "?host=127.0.0.1&port=" + port; };
  o.limits.statement = 300ms;
  lane l(context_.get_executor(), std::move(o));
  for (const auto which : {direction::to_server, direction::to_client, direction::both}) {
    ASSERT_EQ(ask(l, "SELECT 1").value(), "1");
    gate.stall(which);
    const auto got = ask(l, "SELECT 2");
    EXPECT_EQ(got.error().kind, failure_kind::unavailable);
    EXPECT_EQ(got.error().text, "no answer to test within 1 s: the connection was given up");
    gate.pass();
    ASSERT_TRUE(run_until(context_, 30s, [&] { return ask(l, "SELECT 1").has_value(); }));
  }
  EXPECT_EQ(losses.size(), 3u);
  EXPECT_EQ(reconnects, 3);
}

TEST_F(lane_test, a_stopped_backend_is_noticed_and_another_one_asked) {
  auto o = options();
  o.limits.statement = 300ms;
  lane l(context_.get_executor(), std::move(o));
  const auto stopped = std::stoi(ask(l, "SELECT pg_backend_pid()").value());
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  const std::shared_ptr<void> go_on(nullptr, [stopped](void*) { ::kill(stopped, SIGCONT); });
  EXPECT_EQ(ask(l, "SELECT 1").error().kind, failure_kind::unavailable);
  EXPECT_NE(std::stoi(ask(l, "SELECT pg_backend_pid()").value()), stopped);
}

TEST_F(lane_test, a_statement_within_its_limit_is_left_alone_and_a_job_may_have_several) {
  auto o = options();
  o.limits.statement = 3s;
  lane l(context_.get_executor(), std::move(o));
  EXPECT_TRUE(ask(l, "SELECT pg_sleep(0.5)").has_value());
  std::optional<base::result<bool>> got;
  l.submit<bool>(
      "several",
      [](session& db) {
        for (int i = 0; i < 4; ++i) db.run({"sleep", "SELECT pg_sleep(1)"});
        return true;
      },
      [&](base::result<bool> done) { got.emplace(std::move(done)); });
  ASSERT_TRUE(run_until(context_, 30s, [&] { return got.has_value(); }));
  EXPECT_TRUE(got->has_value());
  EXPECT_TRUE(losses.empty());
}

TEST_F(lane_test, it_says_what_it_does) {
  lane l(context_.get_executor(), options());
  EXPECT_FALSE(l.current_call());
  answer got;
  submit(l, "SELECT pg_sleep(600)", got);
  ASSERT_TRUE(run_until(context_, 30s, [&] {
    const auto call = l.current_call();
    return call && call->operation == "test";
  }));
  EXPECT_EQ(l.current_call()->lane, "test");
  EXPECT_FALSE(l.current_call()->stuck);
  l.abandon_session();
  ASSERT_TRUE(run_until(context_, 30s, [&] { return got.has_value(); }));
  EXPECT_FALSE(l.current_call());
}

// As when a name server or the file system of a secret does not answer: nothing can end that.
TEST_F(lane_test, a_thread_that_does_not_come_back_from_its_deadline_is_stuck) {
  auto o = options();
  o.limits.connect = 100ms;
  o.limits.margin = 100ms;
  std::promise<void> mended;
  o.url = [&, waits = mended.get_future().share()] {
    waits.wait();
    return url();
  };
  lane l(context_.get_executor(), std::move(o));
  answer got;
  submit(l, "SELECT 1", got);
  ASSERT_TRUE(run_until(context_, 30s, [&] {
    const auto call = l.current_call();
    return call && call->stuck && call->operation == "connect";
  }));
  mended.set_value();
  ASSERT_TRUE(run_until(context_, 30s, [&] { return got.has_value(); }));
  EXPECT_EQ(got->value(), "1");
  EXPECT_FALSE(l.current_call());
}

TEST_F(lane_test, stop_does_not_wait_for_a_server_that_says_nothing) {
  tcp_gate gate(shared_postgres().port());
  auto o = options();
  o.url = [port = std::to_string(gate.port())] { return url() + "?host=127.0.0.1&port=" + port; };
  lane l(context_.get_executor(), std::move(o));
  ask(l, "SELECT 1");
  gate.stall(direction::both);
  answer got;
  submit(l, "SELECT 2", got);
  bool closed = false;
  l.stop([&] { closed = true; });
  ASSERT_TRUE(run_until(context_, 30s, [&] { return closed; }));
  EXPECT_EQ(got->error().kind, failure_kind::unavailable);
}

TEST_F(lane_test, a_server_that_is_away_is_an_answer_and_not_a_wait_for_ever) {
  lane l(context_.get_executor(), options());
  ask(l, "SELECT 1");
  shared_postgres().stop(stop_mode::immediate);
  EXPECT_EQ(ask(l, "SELECT 1").error().kind, failure_kind::unavailable);
  EXPECT_EQ(ask(l, "SELECT 1").error().kind, failure_kind::unavailable);
  shared_postgres().start();
  EXPECT_TRUE(run_until(context_, 30s, [&] { return ask(l, "SELECT 1").has_value(); }));
  EXPECT_EQ(reconnects, 1);
}

TEST_F(lane_test, the_url_is_asked_for_before_each_connect) {
  auto o = options();
  std::atomic<int> asked = 0;
  o.url = [&asked]() -> std::string {
    if (++asked == 1) throw std::runtime_error("cannot read the password file");
    return asked == 2 ? "postgresql://[" : url();
  };
  lane l(context_.get_executor(), std::move(o));
  EXPECT_EQ(ask(l, "SELECT 1").error().text, "cannot read the password file");
  EXPECT_EQ(ask(l, "SELECT 1").error().kind, failure_kind::bad_input);
  EXPECT_EQ(ask(l, "SELECT 1").value(), "1");
  EXPECT_EQ(asked, 3);
}

TEST_F(lane_test, the_queue_is_bounded) {
  auto o = options();
  o.capacity = 1;
  lane l(context_.get_executor(), std::move(o));
  lane other(context_.get_executor(), options());
  answer running, queued, refused;
  submit(l, "SELECT pg_sleep(600) AS bounded", running);
  const std::string asleep =
      " FROM pg_stat_activity WHERE query LIKE '%AS bounded' AND wait_event = 'PgSleep'";
  ASSERT_TRUE(run_until(context_, 30s,
                        [&] { return ask(other, "SELECT count(*)" + asleep).value() == "1"; }));
  submit(l, "SELECT 1", queued);
  submit(l, "SELECT 1", refused);
  ASSERT_TRUE(run_until(context_, 30s, [&] { return refused.has_value(); }));
  EXPECT_EQ(refused->error().kind, failure_kind::unavailable);
  ask(other, "SELECT pg_cancel_backend(pid)" + asleep);
  ASSERT_TRUE(run_until(context_, 30s, [&] { return queued.has_value(); }));
  EXPECT_EQ(queued->value(), "1");
}

TEST_F(lane_test, notifications_arrive_while_idle_and_with_a_statement) {
  lane l(context_.get_executor(), options());
  bool listening = false;
  l.submit<bool>(
      "listen",
      [](session& db) {
        db.listen("a channel");
        return true;
      },
      [&](base::result<bool> got) { listening = got.value(); });
  ASSERT_TRUE(run_until(context_, 30s, [&] { return listening; }));
  lane other(context_.get_executor(), options());
  ask(other, "SELECT pg_notify('a channel', '')");
  ASSERT_TRUE(run_until(context_, 30s, [&] { return notified == 1; }));
  ask(l, "SELECT pg_notify('a channel', '')");
  EXPECT_TRUE(run_until(context_, 30s, [&] { return notified == 2; }));
}

TEST_F(lane_test, stop_cuts_off_what_runs_and_answers_what_waits) {
  lane l(context_.get_executor(), options());
  ask(l, "SELECT 1");
  answer running, waiting, late;
  submit(l, "SELECT pg_sleep(600)", running);
  submit(l, "SELECT 1", waiting);
  int closed = 0;
  l.stop([&] { ++closed; });
  l.stop([&] { ++closed; });
  submit(l, "SELECT 1", late);
  ASSERT_TRUE(run_until(context_, 30s, [&] { return closed == 2; }));
  EXPECT_TRUE(running.has_value() && waiting.has_value());
  // It may come behind the end of a thread that was quick.
  ASSERT_TRUE(run_until(context_, 30s, [&] { return late.has_value(); }));
  for (const auto* got : {&running, &waiting, &late}) {
    ASSERT_TRUE(got->has_value());
    EXPECT_EQ((*got)->error().kind, failure_kind::unavailable);
  }
  EXPECT_TRUE(losses.empty());
  l.stop([&] { ++closed; });
  EXPECT_TRUE(run_until(context_, 30s, [&] { return closed == 3; }));
}

TEST_F(lane_test, a_lane_that_was_never_used_stops) {
  lane l(context_.get_executor(), options());
  bool closed = false;
  l.stop([&] { closed = true; });
  EXPECT_TRUE(run_until(context_, 30s, [&] { return closed; }));
}

// Start and stop at random moments: no answer is lost, nothing hangs.
TEST_F(lane_test, every_job_is_answered_exactly_once_however_it_ends) {
  for (int round = 0; round < 50; ++round) {
    std::vector<int> answers(8, 0);
    {
      lane l(context_.get_executor(), options());
      for (auto& count : answers) {
        l.submit<std::string>(
            "test", [](session& db) { return first_value(db, "SELECT 1"); },
            [&count](base::result<std::string>) { ++count; });
        if (round % 3 == 0) context_.poll();
      }
      if (round % 2 == 0) l.stop();
    }
    context_.restart();
    context_.run();
    EXPECT_EQ(answers, std::vector<int>(8, 1));
  }
}

}  // namespace
}  // namespace outboxd::tests
