#include "outbox/pg_leadership.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "outbox/lead_fsm.hpp"
#include "outbox/migrator.hpp"
#include "outbox/pg_store.hpp"
#include "outbox/pqxx_compat.hpp"
#include "outbox/schema.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/run_until.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/store_contract_fixture.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using outbox::lead_state;
using testing::HasSubstr;

class silent_logger final : public base::logger {
  void write(base::severity, std::string_view, std::span<const base::field>) override {}
};

// One instance of the relay, as far as the lead is concerned.
class instance final : public outbox::leadership_events {
 public:
  instance(boost::asio::io_context& context, const outbox_database& db, std::string name,
           std::string url = "")
      : context_(context),
        leadership_(context.get_executor(), options(db, std::move(name), std::move(url)), log_) {}

  void start() { leadership_.start(*this); }
  void stop() {
    leadership_.stop([this] { ++stopped; });
  }
  outbox::pg_leadership& leadership() { return leadership_; }

  bool wait_for(lead_state wanted) {
    return run_until(context_, 20s, [&] { return state == wanted; });
  }

  base::result<bool> try_wake_lock() {
    std::optional<base::result<bool>> answer;
    leadership_.try_wake_lock([&](base::result<bool> got) { answer.emplace(std::move(got)); });
    run_until(context_, 20s, [&] { return answer.has_value(); });
    return answer.value();
  }

  void lead_gained(std::int64_t e) override { epoch = e; }
  void lead_lost(const std::string& reason) override { losses.push_back(reason); }
  void notified() override { ++notifications; }
  void lead_state_changed(lead_state s, const std::string& d) override {
    state = s;
    detail = d;
  }

  std::optional<lead_state> state;
  std::string detail;
  std::int64_t epoch = 0;
  std::vector<std::string> losses;
  int notifications = 0;
  int stopped = 0;

 private:
  static outbox::lead_options options(const outbox_database& db, std::string name,
                                      std::string url) {
    outbox::lead_options o;
    o.url = [url = url.empty() ? db.url() : url] { return url; };
    o.schema = db.schema();
    o.instance = std::move(name);
    o.application_name = o.instance;
    return o;
  }

  silent_logger log_;
  boost::asio::io_context& context_;
  outbox::pg_leadership leadership_;
};

class leadership_test : public testing::Test {
 protected:
  boost::asio::io_context context_;
  outbox_database db_{"my outbox"};

  void insert() {
    db_.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', 'x')");
  }
};

TEST_F(leadership_test, the_only_instance_leads_and_writes_down_who_it_is) {
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading)) << a.detail;
  EXPECT_EQ(a.epoch, 1);
  EXPECT_EQ(db_.value("SELECT epoch FROM \"outbox\".lead"), "1");
  EXPECT_EQ(db_.value("SELECT holder FROM \"outbox\".lead"), "a");
  EXPECT_EQ(db_.value("SELECT since IS NOT NULL FROM \"outbox\".lead"), "t");
}

TEST_F(leadership_test, a_stand_by_takes_over_when_the_leader_stops) {
  instance a(context_, db_, "a");
  instance b(context_, db_, "b");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  b.start();
  ASSERT_TRUE(b.wait_for(lead_state::standby));
  EXPECT_EQ(b.detail, "led by a");
  a.stop();
  ASSERT_TRUE(b.wait_for(lead_state::leading));
  EXPECT_GT(b.epoch, a.epoch);
  EXPECT_EQ(a.state, lead_state::stopped);
  EXPECT_EQ(a.stopped, 1);
}

TEST_F(leadership_test, a_stand_by_takes_over_when_the_leader_is_gone) {
  auto a = std::make_unique<instance>(context_, db_, "a");
  instance b(context_, db_, "b");
  a->start();
  ASSERT_TRUE(a->wait_for(lead_state::leading));
  b.start();
  ASSERT_TRUE(b.wait_for(lead_state::standby));
  a.reset();
  EXPECT_TRUE(b.wait_for(lead_state::leading));
}

TEST_F(leadership_test, a_terminated_session_is_a_lost_lead) {
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  db_.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'a'");
  ASSERT_TRUE(run_until(context_, 20s, [&] { return !a.losses.empty(); }));
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  EXPECT_EQ(a.epoch, 2);
  EXPECT_EQ(a.losses.size(), 1u);
}

// Its thread hangs: it cannot ping, so the server ends the session.
TEST_F(leadership_test, a_leader_that_hangs_loses_the_lead_and_its_decisions_count_no_more) {
  boost::asio::io_context hanging;
  instance a(hanging, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  instance b(context_, db_, "b");
  b.start();
  ASSERT_TRUE(b.wait_for(lead_state::leading)) << "idle_session_timeout was not set";
  EXPECT_GT(b.epoch, a.epoch);

  // It wakes up, and decides before it has noticed.
  outbox::pg_options options;
  options.url = [this] { return db_.url(); };
  options.schema = db_.schema();
  outbox::pg_store store(context_.get_executor(), options);
  pqxx::connection writer(db_.url());
  pqxx::work tx(writer);
  const auto row = db_.insert(tx, text_row("x"));
  tx.commit();
  std::optional<std::size_t> changed;
  store.decide(
      a.epoch, {{row, 0, outbox::fate::dead, {}, "late"}},
      [&](base::result<outbox::decide_answer> got) { changed = got.value().changed.size(); });
  ASSERT_TRUE(run_until(context_, 20s, [&] { return changed.has_value(); }));
  EXPECT_EQ(changed, 0u);

  ASSERT_TRUE(run_until(hanging, 20s, [&] { return !a.losses.empty(); }));
}

TEST_F(leadership_test, a_leader_keeps_the_lead_by_pinging) {
  instance a(context_, db_, "a");
  instance b(context_, db_, "b");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  b.start();
  // Longer than the server would wait for an idle session.
  run_until(context_, outbox::lead_fsm::server_gives_up_after + 2s, [] { return false; });
  EXPECT_EQ(a.state, lead_state::leading);
  EXPECT_TRUE(a.losses.empty());
  EXPECT_EQ(b.state, lead_state::standby);
}

TEST_F(leadership_test, a_stand_by_notices_that_the_database_went_silent) {
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  tcp_gate gate(shared_postgres().port());
  instance b(context_, db_, "b", db_.url() + "?host=127.0.0.1&port=" + std::to_string(gate.port()));
  b.start();
  ASSERT_TRUE(b.wait_for(lead_state::standby));
  gate.stall(direction::to_client);
  ASSERT_TRUE(b.wait_for(lead_state::connecting));
  EXPECT_EQ(b.detail, "no answer to try_lead within 8 s: the connection was given up");
  gate.pass();
  EXPECT_TRUE(b.wait_for(lead_state::standby)) << b.detail;
}

// The network swallows everything; neither side is told.
TEST_F(leadership_test,
       a_leader_that_hears_nothing_gives_up_before_the_server_gives_the_lead_away) {
  tcp_gate gate(shared_postgres().port());
  instance a(context_, db_, "a", db_.url() + "?host=127.0.0.1&port=" + std::to_string(gate.port()));
  instance b(context_, db_, "b");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading)) << a.detail;
  b.start();
  ASSERT_TRUE(b.wait_for(lead_state::standby));
  gate.stall(direction::both);
  bool overlapped = false;
  ASSERT_TRUE(run_until(context_, 30s, [&] {
    overlapped |= a.state == lead_state::leading && b.state == lead_state::leading;
    return b.state == lead_state::leading;
  }));
  EXPECT_FALSE(overlapped);
  EXPECT_EQ(a.losses.size(), 1u);
  gate.pass();
  EXPECT_TRUE(a.wait_for(lead_state::standby));
}

TEST_F(leadership_test, waits_for_a_server_that_is_away_and_comes_back) {
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  shared_postgres().stop(stop_mode::fast);
  ASSERT_TRUE(a.wait_for(lead_state::connecting));
  instance b(context_, db_, "b");
  b.start();
  ASSERT_TRUE(run_until(context_, 20s, [&] { return !b.detail.empty(); }));
  EXPECT_EQ(b.state, lead_state::connecting);
  shared_postgres().start();
  EXPECT_TRUE(run_until(context_, 30s, [&] {
    return a.state == lead_state::leading || b.state == lead_state::leading;
  }));
}

TEST_F(leadership_test, says_what_to_run_while_the_schema_is_missing) {
  db_.run("ALTER SCHEMA \"outbox\" RENAME TO elsewhere");
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::not_ready));
  EXPECT_THAT(a.detail, HasSubstr("outboxd migrate"));
  db_.run("ALTER SCHEMA elsewhere RENAME TO \"outbox\"");
  EXPECT_TRUE(a.wait_for(lead_state::leading)) << a.detail;
}

// Its lock is made of the oid of a table that is no longer there: another instance could lead as
// well.
TEST_F(leadership_test, tables_that_were_made_anew_are_led_anew) {
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  a.epoch = 0;
  db_.run("DROP SCHEMA \"outbox\" CASCADE");
  outbox::migrate_options options;
  options.url = db_.url();
  options.schema = db_.schema();
  outbox::up(options).value();
  ASSERT_TRUE(run_until(context_, 20s, [&] { return a.epoch == 1; })) << a.detail;
  EXPECT_EQ(a.losses.size(), 1u);
  EXPECT_EQ(db_.value("SELECT holder FROM \"outbox\".lead"), "a");
}

TEST_F(leadership_test, says_what_to_run_while_the_schema_is_too_old) {
  db_.run("UPDATE \"outbox\".schema_version SET version = version - 1000");
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::not_ready));
  EXPECT_THAT(a.detail, HasSubstr("outboxd migrate"));
  db_.run("UPDATE \"outbox\".schema_version SET version = version + 1000");
  EXPECT_TRUE(a.wait_for(lead_state::leading)) << a.detail;
}

TEST_F(leadership_test, does_not_lead_where_a_text_may_be_something_else_than_utf8) {
  instance a(context_, db_, "a", shared_postgres().create_database(in_sql_ascii));
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::not_ready));
  EXPECT_THAT(a.detail, HasSubstr("encoding is SQL_ASCII"));
}

TEST_F(leadership_test, says_which_grants_are_missing) {
  db_.run("CREATE ROLE newcomer LOGIN PASSWORD 'secret'");
  instance a(context_, db_, "a", db_.url() + "?user=newcomer&password=secret");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::not_ready));
  EXPECT_THAT(a.detail, HasSubstr("role newcomer lacks"));
  EXPECT_THAT(a.detail, HasSubstr("USAGE on the schema"));
  EXPECT_THAT(a.detail, HasSubstr("DELETE on messages"));
  EXPECT_THAT(a.detail, HasSubstr("GRANT outbox_relay TO"));
  db_.run("GRANT outbox_relay TO newcomer");
  EXPECT_TRUE(a.wait_for(lead_state::leading)) << a.detail;
  a.stop();
  ASSERT_TRUE(a.wait_for(lead_state::stopped));
  db_.run("DROP ROLE newcomer");
}

TEST_F(leadership_test, writers_notify_only_while_the_wake_lock_is_held) {
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));

  pqxx::connection other(db_.url());
  outbox::compat::listener heard(other, outbox::wake_channel(db_.schema()));
  int count = 0;
  const auto hears = [&](int wanted) {
    return run_until(context_, 20s, [&] {
      other.get_notifs();
      count += heard.take();
      return count >= wanted;
    });
  };

  insert();  // silent
  EXPECT_TRUE(a.try_wake_lock().value());
  EXPECT_TRUE(a.try_wake_lock().value()) << "it is held already";
  insert();
  ASSERT_TRUE(hears(1));
  EXPECT_TRUE(run_until(context_, 20s, [&] { return a.notifications == 1; }));

  a.leadership().release_wake_lock();
  EXPECT_TRUE(run_until(context_, 20s, [&] {
    return db_.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2") ==
           "0";
  }));
  insert();  // silent
  EXPECT_TRUE(a.try_wake_lock().value());
  insert();
  ASSERT_TRUE(hears(2));
  EXPECT_EQ(count, 2) << "notifications come in the order of the commits";
}

TEST_F(leadership_test, the_wake_lock_is_refused_while_a_writer_is_open) {
  instance a(context_, db_, "a");
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  pqxx::connection connection(db_.url());
  pqxx::work writer(connection);
  db_.insert(writer, text_row("x"));
  EXPECT_FALSE(a.try_wake_lock().value());
  writer.abort();
  EXPECT_TRUE(a.try_wake_lock().value());
}

TEST_F(leadership_test, the_wake_lock_is_for_leaders) {
  instance a(context_, db_, "a");
  EXPECT_FALSE(a.try_wake_lock().has_value());
  a.start();
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  ASSERT_TRUE(a.try_wake_lock().value());
  db_.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'a'");
  ASSERT_TRUE(run_until(context_, 20s, [&] { return !a.losses.empty(); }));
  EXPECT_FALSE(a.try_wake_lock().has_value());
  ASSERT_TRUE(a.wait_for(lead_state::leading));
  EXPECT_TRUE(a.try_wake_lock().value());
}

TEST_F(leadership_test, stop_may_come_at_any_time_and_more_than_once) {
  instance never_started(context_, db_, "a");
  never_started.stop();
  EXPECT_TRUE(run_until(context_, 20s, [&] { return never_started.stopped == 1; }));
  never_started.start();

  instance at_once(context_, db_, "b");
  at_once.start();
  at_once.stop();
  at_once.stop();
  EXPECT_TRUE(run_until(context_, 20s, [&] { return at_once.stopped == 2; }));
  at_once.stop();
  EXPECT_TRUE(run_until(context_, 20s, [&] { return at_once.stopped == 3; }));
  EXPECT_EQ(at_once.state, lead_state::stopped);
  EXPECT_FALSE(never_started.state.has_value());
}

}  // namespace
}  // namespace outboxd::tests
