// What only the store over PostgreSQL has: grants, outages, durability of each kind of statement.
// The rest is in the contract.
#include "outbox/pg_store.hpp"

#include "tests/integration/pg_store_fixture.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/tcp_gate.hpp"

namespace outboxd::tests {
namespace {

TEST_F(pg_store_test, the_role_of_the_relay_may_do_all_it_needs) {
  db_.run("CREATE ROLE relay_login LOGIN PASSWORD 'secret' IN ROLE outbox_relay");
  {
    const auto s = store(db_.url() + "?user=relay_login&password=secret");
    auto row = text_row("a");
    row.headers =
        "{\"long\": \"" + std::string(300, 'x') + "\"}";  // the check that needs a function
    const auto a = insert(row);
    const auto b = insert(row);
    EXPECT_EQ(read(*s).value().rows.size(), 2u);
    EXPECT_TRUE(settle(*s, a).has_value());
    EXPECT_EQ(kill(*s, b).value().changed.size(), 1u);
    EXPECT_EQ(measure(*s).value().dead, 1);
    EXPECT_TRUE(
        answer_of<std::vector<outbox::loaded_body>>([&](auto done) { s->load_bodies({a}, done); }));
    EXPECT_TRUE(answer_of<std::vector<outbox::failed_row>>(
        [&](auto done) { s->load_failed(0, false, 1, done); }));
    EXPECT_EQ(answer_of<std::size_t>([&](auto done) { s->purge(-1h, -1h, 10, done); }).value(), 2u);
    EXPECT_THAT(operations, testing::Contains("settle"));
  }
  db_.run("DROP ROLE relay_login");
}

TEST_F(pg_store_test, a_dead_row_that_holds_its_key_is_not_purged) {
  const auto s = store("", true);
  auto row = text_row("a");
  row.ordering_key = "k";
  const auto keyed = insert(row);
  row.ordering_key.reset();
  const auto keyless = insert(row);
  ASSERT_EQ(kill(*s, keyed).value().changed.size(), 1u);
  ASSERT_EQ(kill(*s, keyless).value().changed.size(), 1u);
  const auto purge = [&](outbox::pg_store& from) {
    return answer_of<std::size_t>([&](auto done) { from.purge(-1h, -1h, 10, done); }).value();
  };
  EXPECT_EQ(purge(*s), 1u);
  EXPECT_EQ(db_.value("SELECT id FROM \"outbox\".messages"), std::to_string(keyed.id));
  EXPECT_EQ(purge(*s), 0u);
  EXPECT_EQ(purge(*store()), 1u) << "OUTBOX_ON_DEAD=continue";
}

TEST_F(pg_store_test, a_missing_schema_is_not_ready_and_a_missing_grant_is_forbidden) {
  db_.run("CREATE ROLE stranger_login LOGIN PASSWORD 'secret'");
  {
    const auto s = store(db_.url() + "?user=stranger_login&password=secret");
    EXPECT_EQ(read(*s).error().kind, failure_kind::forbidden);
    db_.run("DROP SCHEMA \"outbox\" CASCADE");
    EXPECT_EQ(read(*s).error().kind, failure_kind::not_ready);
  }
  db_.run("DROP ROLE stranger_login");
}

TEST_F(pg_store_test, an_outage_is_an_answer_and_the_store_recovers) {
  const auto s = store();
  const auto ref = insert(text_row("a"));
  ASSERT_EQ(read(*s).value().rows.size(), 1u);
  shared_postgres().stop(stop_mode::immediate);
  EXPECT_EQ(read(*s).error().kind, failure_kind::unavailable);
  EXPECT_EQ(settle(*s, ref).error().kind, failure_kind::unavailable);
  shared_postgres().start();
  EXPECT_TRUE(run_until(context_, 30s, [&] { return settle(*s, ref).has_value(); }));
  EXPECT_TRUE(run_until(context_, 30s, [&] { return read(*s).has_value(); }));
  EXPECT_TRUE(read(*s).value().rows.empty());
  EXPECT_GE(reconnects, 1);
}

TEST_F(pg_store_test, a_database_that_goes_silent_is_an_answer_on_both_lanes_and_they_recover) {
  tcp_gate gate(shared_postgres().port());
  const auto s =
      store(db_.url() + "?host=127.0.0.1&port=" + std::to_string(gate.port()), false, 300ms);
  const auto ref = insert(text_row("a"));
  ASSERT_EQ(read(*s).value().rows.size(), 1u);
  ASSERT_TRUE(measure(*s).has_value());
  gate.stall(direction::both);
  EXPECT_THAT(read(*s).error().text, testing::HasSubstr("no answer to read within"));
  EXPECT_THAT(settle(*s, ref).error().text, testing::HasSubstr("no answer to settle within"));
  gate.pass();
  EXPECT_TRUE(run_until(context_, 30s, [&] { return settle(*s, ref).has_value(); }));
  EXPECT_TRUE(run_until(context_, 30s, [&] { return read(*s).has_value(); }));
  EXPECT_EQ(db_.value("SELECT status FROM \"outbox\".messages"), "sent");
  EXPECT_THAT(s->calls(), testing::IsEmpty());
}

TEST_F(pg_store_test, marks_do_not_wait_for_the_disk_and_decisions_do) {
  db_.run("CREATE TABLE public.commits (status text, mode text)");
  db_.run(
      "CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN "
      "INSERT INTO public.commits VALUES (NEW.status, current_setting('synchronous_commit')); "
      "RETURN NULL; "
      "END $f$");
  db_.run(
      "CREATE TRIGGER note AFTER UPDATE ON \"outbox\".messages FOR EACH ROW EXECUTE FUNCTION "
      "public.note()");
  const auto s = store();
  const auto a = insert(text_row("a"));
  const auto b = insert(text_row("b"));
  ASSERT_EQ(settle(*s, a).value().changed, 1u);
  ASSERT_EQ(kill(*s, b).value().changed.size(), 1u);
  const auto last_decision = [&] {
    return db_.value("SELECT string_agg(mode, ',') FROM public.commits WHERE status = 'dead'");
  };
  EXPECT_EQ(db_.value("SELECT mode FROM public.commits WHERE status = 'sent'"), "off");
  EXPECT_EQ(last_decision(), "on");

  // Whatever new sessions of this database would do.
  const auto where_it_is = [&](const std::string& mode) {
    db_.run("TRUNCATE public.commits");
    db_.run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = " + mode +
            "', current_database()); END $$");
    const auto another = store();
    EXPECT_EQ(kill(*another, insert(text_row("c"))).value().changed.size(), 1u);
    return last_decision();
  };
  EXPECT_EQ(where_it_is("off"), "on");
  EXPECT_EQ(where_it_is("remote_apply"), "remote_apply");
  EXPECT_EQ(where_it_is("local"), "local");
}

TEST_F(pg_store_test, a_row_that_is_locked_does_not_block_for_ever) {
  const auto s = store();
  const auto ref = insert(text_row("a"));
  pqxx::connection connection(db_.url());
  {
    pqxx::work somebody_else(connection);
    somebody_else.exec("SELECT FROM outbox.messages FOR UPDATE");
    EXPECT_EQ(settle(*s, ref).value().locked, std::vector{ref});
  }
  EXPECT_EQ(settle(*s, ref).value().changed, 1u);
}

TEST_F(pg_store_test, a_broken_text_of_the_broker_does_not_stop_a_decision) {
  const auto s = store();
  const auto ref = insert(text_row("a"));
  const auto answer = answer_of<outbox::decide_answer>([&](auto done) {
    s->decide(0, {{ref, 0, outbox::fate::dead, {}, std::string("bad \xff\0 \"text\\", 13)}}, done);
  });
  EXPECT_EQ(answer.value().changed.size(), 1u);
  EXPECT_EQ(db_.value("SELECT last_error FROM \"outbox\".messages"), "bad ?? \"text\\");
}

TEST_F(pg_store_test, a_row_due_at_infinity_stops_nobody) {
  insert(text_row("never"));
  db_.run("UPDATE \"outbox\".messages SET status = 'deferred', due_at = 'infinity'");
  insert(text_row("b"));
  auto request = everything();
  request.max_delay = 1h;
  const auto s = store();
  const auto answer = read(*s, request).value();
  EXPECT_EQ(bodies(answer.rows), std::vector<std::string>{"b"});
  EXPECT_EQ(answer.too_late.size(), 1u);

  db_.run("UPDATE \"outbox\".messages SET due_at = '-infinity' WHERE status = 'deferred'");
  EXPECT_EQ(bodies(read(*s, request).value().due), std::vector<std::string>{"never"});
}

TEST_F(pg_store_test, the_longest_delay_there_is_can_be_asked_for) {
  auto request = everything();
  request.max_delay = std::chrono::hours(24) * 3650;
  EXPECT_TRUE(read(*store(), request).has_value());
}

TEST_F(pg_store_test,
       a_decision_repeated_while_its_first_try_is_under_way_finds_the_row_locked_and_then_decided) {
  const auto s = store();
  const auto ref = insert(text_row("a"));
  pqxx::connection connection(db_.url());
  pqxx::work first_try(connection);
  first_try.exec(
      "UPDATE outbox.messages SET status = 'dead', attempts = 1, failing_since = now(), due_at = "
      "now(), last_error = 'refused'");
  EXPECT_EQ(kill(*s, ref).value().locked, std::vector{ref});
  first_try.commit();
  EXPECT_EQ(kill(*s, ref).value().changed, std::vector{ref});
  EXPECT_EQ(db_.value("SELECT attempts FROM \"outbox\".messages"), "1");
}

TEST_F(pg_store_test, the_backlog_is_counted_up_to_a_hundred_thousand_and_estimated_above) {
  const auto s = store();
  db_.run(
      "INSERT INTO \"outbox\".messages (routing_key, payload) SELECT 'q', '' FROM "
      "generate_series(1, 100000)");
  EXPECT_EQ(measure(*s).value().pending, 100000);
  db_.run(
      "INSERT INTO \"outbox\".messages (routing_key, payload) SELECT 'q', '' FROM "
      "generate_series(1, 5000)");
  EXPECT_EQ(measure(*s).value().pending, 105000);
}

// Counted by the server: the entries of the index that were visited. Its sessions tell at their end
// at the latest.
TEST_F(pg_store_test, measuring_does_not_walk_over_what_was_sent_while_a_snapshot_is_held) {
  const old_snapshot snapshot(db_);
  insert_rows(5'000);
  db_.run("UPDATE \"outbox\".messages SET status = 'sent', sent_at = now()");
  const auto waiting = insert(text_row("a"));
  const auto sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outboxd'";
  const auto visits = [&](std::int64_t from) {
    const auto count =
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'messages_pending'";
    const auto before = std::stoll(db_.value(count));
    {
      const auto s = store();
      EXPECT_EQ(measure(*s, from).value().pending, 1);
    }
    EXPECT_TRUE(run_until(context_, 30s, [&] { return db_.value(sessions) == "0"; }));
    return std::stoll(db_.value(count)) - before;
  };
  EXPECT_GE(visits(1), 5000);
  EXPECT_LT(visits(waiting.id), 10);
}

// A transaction that has an id holds every snapshot's xmin back, but it did not draw the missing
// one.
TEST_F(pg_store_test, a_gap_is_settled_beside_an_old_transaction_that_has_not_drawn_its_id) {
  pqxx::connection elsewhere(db_.url());
  pqxx::work old(elsewhere);
  old.exec("SELECT pg_current_xact_id()");
  const gap_of_one gap(*this);
  EXPECT_GE(gap.seen_again().xmin, gap.bound);
}

TEST_F(pg_store_test, a_gap_stays_open_as_long_as_somebody_may_fill_it) {
  const auto expect_open = [&](const char* who) {
    const gap_of_one gap(*this);
    EXPECT_LT(gap.seen_again().xmin, gap.bound) << who;
  };
  pqxx::connection connection(db_.url());
  {
    pqxx::work tx(connection);
    tx.exec("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', '')");
    expect_open("has written");
  }
  {
    pqxx::work tx(connection);
    tx.exec("SELECT pg_current_xact_id(), nextval('\"outbox\".messages_id_seq')");
    expect_open("has drawn an id and written nothing");
  }
  {
    pqxx::work tx(connection);
    tx.exec("SAVEPOINT s");
    tx.exec("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', '')");
    expect_open("has written in a subtransaction");
  }
  {
    pqxx::nontransaction tx(connection);
    tx.exec("BEGIN");
    tx.exec("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('q', '')");
    tx.exec("PREPARE TRANSACTION 'half'");
    expect_open("has prepared");
    tx.exec("ROLLBACK PREPARED 'half'");
  }
  const gap_of_one gap(*this);
  EXPECT_GE(gap.seen_again().xmin, gap.bound) << "nobody is left";
}

TEST_F(pg_store_test, stop_answers_everything) {
  const auto s = store();
  bool closed = false;
  s->stop([&] { closed = true; });
  EXPECT_EQ(read(*s).error().kind, failure_kind::unavailable);
  EXPECT_TRUE(run_until(context_, 30s, [&] { return closed; }));
  s->stop([&] { closed = false; });
  EXPECT_TRUE(run_until(context_, 30s, [&] { return !closed; }));
}

// A clock that counts nanoseconds ends after 292 years, and infinity has no milliseconds.
TEST_F(pg_store_test, a_pause_whose_end_nobody_will_see_is_told) {
  db_.run(R"(SELECT "outbox".pause('x', lasting => interval '290000 years'))");
  db_.run(R"(INSERT INTO "outbox".pauses (ordering_key, ends_at) VALUES ('k', 'infinity'))");
  if (db_.value("SELECT current_setting('server_version_num')::int >= 170000") == "t")
    db_.run(R"(SELECT "outbox".pause(lasting => interval 'infinity'))");
  const auto subject = store();
  const auto told = answer_of<std::vector<outbox::pause_in_force>>(
      [&](auto done) { subject->load_pauses(done); });
  ASSERT_TRUE(told) << told.error().text;
  ASSERT_GE(told->size(), 2u);
  ASSERT_TRUE(told->front().ends_in);
  constexpr auto year = std::chrono::hours(24 * 365);
  EXPECT_GT(*told->front().ends_in, 99 * year);
  EXPECT_LT(*told->front().ends_in, 101 * year);
  for (std::size_t i = 1; i < told->size(); ++i) EXPECT_FALSE((*told)[i].ends_in);
}

}  // namespace
}  // namespace outboxd::tests
