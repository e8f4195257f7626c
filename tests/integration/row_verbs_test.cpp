// `outboxd replay` and `purge`, as an operator uses them: the program, a database, a relay beside
// it.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <csignal>
#include <set>

#include "outbox/migrator.hpp"
#include "tests/integration/database_fault.hpp"
#include "tests/integration/locked_row.hpp"
#include "tests/integration/verb.hpp"

namespace outboxd::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace json = boost::json;

class row_verbs : public database_fault {
 protected:
  std::unique_ptr<child_process> begin(std::vector<std::string> arguments,
                                       std::map<std::string, std::string> env = {}) const {
    env.try_emplace("OUTBOX_DATABASE_URL", db.url());
    return begin_verb(std::move(arguments), env);
  }

  verb_answer outboxd(std::vector<std::string> arguments,
                      std::map<std::string, std::string> env = {}) const {
    return end_of(*begin(std::move(arguments), std::move(env)));
  }

  std::string login(const std::string& role) {
    const std::string name = role + "_of_" + ask("SELECT current_database()");
    ask("CREATE ROLE " + name + " LOGIN PASSWORD 'x' IN ROLE " + role);
    const std::string& url = db.url();
    return "postgresql://" + name + ":x" + url.substr(url.find('@'));
  }

  // As if they had been sent so long ago; none but these are there.
  void insert_sent(int count, const std::string& ago, const std::string& columns = "NULL, NULL") {
    ask("WITH new AS (INSERT INTO outbox.messages (routing_key, ordering_key, type, payload) SELECT"
        " 'q', " +
        columns + ", 'n' || n FROM generate_series(1, " + std::to_string(count) +
        ") AS n RETURNING id) SELECT count(*) FROM new");
    ask("UPDATE outbox.messages SET status = 'sent', created_at = now() - interval '" + ago +
        "', sent_at = now() - interval '" + ago + "' WHERE status = 'pending' RETURNING id");
  }

  int rows(const std::string& condition) {
    return number("SELECT count(*) FROM outbox.messages WHERE " + condition);
  }

  // Of the messages in the queue, in the order of their arrival.
  std::vector<int> ids_in_queue() {
    std::vector<int> ids;
    while (const auto m = broker.get("q")) {
      ids.push_back(static_cast<int>(std::get<std::int64_t>(m->header("x-outbox-id")->value)));
    }
    return ids;
  }
};

TEST_F(row_verbs, replay_sends_again_what_was_chosen_and_in_order) {
  const auto relay = start_ready(db.url());
  insert(20, "q", "k");
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; })) << relay->log();
  ask("UPDATE outbox.messages SET type = 'a', sent_at = sent_at - interval '3 hours',"
      " created_at = created_at - interval '3 hours' WHERE id <= 10 RETURNING id");
  got.take_all(broker, "q");
  ASSERT_EQ(got.rows.size(), 20u);
  const double latencies = relay->metric("outbox_delivery_latency_seconds_count");

  EXPECT_EQ(outboxd({"replay", "--since", "4h", "--until", "2h", "--dry-run"}).out,
            "would replay 10 rows\n");
  EXPECT_EQ(outboxd({"replay", "--type", "b", "--dry-run"}).out, "would replay 0 rows\n");
  EXPECT_EQ(outboxd({"replay", "--since", "1h", "--key", "k", "--dry-run"}).out,
            "would replay 10 rows\n");
  EXPECT_EQ(rows("status = 'sent'"), 20);

  const auto done = outboxd({"replay", "--type", "a", "--rate", "0"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(done.out, "replayed 10 rows\n");
  // The relay polls once a minute here: it was woken.
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 10; })) << relay->log();
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; }));
  EXPECT_EQ(ids_in_queue(), (std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(relay->metric("outbox_messages_replayed_total"), 10);
  EXPECT_EQ(relay->metric("outbox_messages_confirmed_total"), 30);
  EXPECT_EQ(relay->metric("outbox_delivery_latency_seconds_count"), latencies);
  EXPECT_EQ(rows("sent_at > now() - interval '1 minute'"), 20) << "retention counts from now on";
  EXPECT_EQ(outboxd({"replay", "--id", "15"}).out, "replayed 1 row\n");
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 1; }));
}

// Rows that are sent again while it works must not be taken again, in this run or the next.
TEST_F(row_verbs, a_signal_ends_it_between_two_batches_and_the_printed_line_goes_on) {
  insert_sent(600, "1 hour");
  const auto relay = start_ready(db.url());
  auto first = begin({"replay", "--all", "--rate", "100"});
  ASSERT_TRUE(eventually(60s, [&] { return broker.queue("q")->messages >= 200; }))
      << first->err() << relay->log();
  first->kill(SIGTERM);
  const auto stopped = end_of(*first);
  EXPECT_EQ(stopped.code, 75);
  EXPECT_THAT(stopped.err, HasSubstr("stopped by a signal"));
  auto words = words_to_go_on(stopped.err);
  ASSERT_FALSE(words.empty()) << stopped.err;
  words.back() = "0";  // the rate
  const auto rest = outboxd(words);
  EXPECT_EQ(rest.code, 0) << rest.err;
  ASSERT_TRUE(eventually(60s, [&] { return unsent() == 0; })) << relay->log();
  const auto ids = ids_in_queue();
  EXPECT_EQ(ids.size(), 600u);
  EXPECT_EQ(std::set<int>(ids.begin(), ids.end()).size(), 600u) << "each once";
}

// The second of three statements waits while the kernel and the shell both say that the terminal is
// gone.
TEST_F(row_verbs, a_lost_session_ends_it_between_two_batches_and_under_nohup_does_not) {
  insert_sent(2'500, "1 hour");
  const std::vector<std::string> typed{"replay", "--all", "--rate", "0"};
  locked_row first(db.url(), 1'504);
  const auto lost = begin(typed);
  ASSERT_TRUE(eventually(60s, [&] { return first.is_waited_for("outboxd replay"); }))
      << lost->err();
  lost->kill(SIGHUP);
  lost->kill(SIGHUP);
  first.release();
  const auto stopped = end_of(*lost);
  EXPECT_EQ(stopped.code, 75) << stopped.err;
  EXPECT_EQ(stopped.out, "replayed 2000 rows\n");
  EXPECT_FALSE(words_to_go_on(stopped.err).empty()) << stopped.err;

  locked_row second(db.url(), 2'404);
  std::vector<std::string> line{"nohup", OUTBOXD_BINARY};
  line.insert(line.end(), typed.begin(), typed.end());
  child_process kept({line, {{"OUTBOX_DATABASE_URL", db.url()}}});
  ASSERT_TRUE(eventually(60s, [&] { return second.is_waited_for("outboxd replay"); }))
      << kept.err();
  kept.kill(SIGHUP);
  second.release();
  EXPECT_EQ(end_of(kept).out, "replayed 500 rows\n") << kept.err();
}

TEST_F(row_verbs, what_was_killed_goes_on_with_the_line_it_printed_first) {
  insert_sent(2'500, "1 hour");
  const auto relay = start_ready(db.url());
  locked_row row(db.url(), 1'504);
  const auto killed = begin({"replay", "--all", "--rate", "0"});
  ASSERT_TRUE(eventually(60s, [&] { return row.is_waited_for("outboxd replay"); }))
      << killed->err();
  ASSERT_TRUE(eventually(60s, [&] { return broker.queue("q")->messages == 1'000; }))
      << relay->log();
  killed->kill(SIGKILL);
  ASSERT_TRUE(killed->wait(60s));
  row.release();
  const auto words = words_to_go_on(killed->err(), "to go on, should this be cut off:");
  ASSERT_FALSE(words.empty()) << killed->err();
  const auto rest = outboxd(words);
  EXPECT_EQ(rest.code, 0) << rest.err;
  ASSERT_TRUE(eventually(60s, [&] { return unsent() == 0; })) << relay->log();
  const auto ids = ids_in_queue();
  EXPECT_EQ(ids.size(), 2'500u);
  EXPECT_EQ(std::set<int>(ids.begin(), ids.end()).size(), 2'500u) << "each once";
}

TEST_F(row_verbs, a_row_sent_again_is_as_old_as_its_second_turn) {
  insert_sent(3, "20 hours");
  const auto relay = start_ready(db.url());
  broker.delete_queue("q");
  ASSERT_EQ(outboxd({"replay", "--all"}).out, "replayed 3 rows\n");
  // Returned, tried again, held with its destination: it waits in every way there is.
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_held_destinations") == 1; }))
      << relay->log();
  // There is none before the table was measured.
  const std::string age = "\noutbox_oldest_pending_age_seconds ";
  ASSERT_TRUE(eventually(60s, [&] {
    return relay->get("/metrics").find(age) != std::string::npos &&
           relay->metric("outbox_oldest_pending_age_seconds") > 0;
  }));
  EXPECT_LT(relay->metric("outbox_oldest_pending_age_seconds"), 3600);
  broker.declare_queue("q");
  ASSERT_TRUE(eventually(60s, [&] { return unsent() == 0; })) << relay->log();
  EXPECT_EQ(relay->metric("outbox_messages_replayed_total"), 3);
}

TEST_F(row_verbs, purge_deletes_what_is_old_in_small_batches_and_dead_rows_only_when_told_so) {
  insert_sent(2'500, "2 days");
  insert_sent(10, "1 hour");
  insert(4, "q", "k");
  insert(3, "q");
  ask("UPDATE outbox.messages SET status = 'dead', due_at = now() - interval '40 days',"
      " created_at = now() - interval '41 days', last_error = 'refused: 406'"
      " WHERE status = 'pending' RETURNING id");
  insert(1, "q");

  const auto none = outboxd({"purge"}, {{"OUTBOX_RETENTION", "1h"}});
  EXPECT_EQ(none.code, 64) << "the settings of the sidecar may keep more";
  EXPECT_EQ(outboxd({"purge", "--sent-older-than", "24h", "--dry-run"}).out,
            "would purge 2500 rows\n");
  const auto lines = outboxd({"purge", "--sent-older-than", "24h", "--rate", "0", "-o", "json"});
  EXPECT_EQ(lines.code, 0) << lines.err;
  const auto done = json::parse(lines.out);
  EXPECT_EQ(done.at("action"), "purge");
  EXPECT_EQ(done.at("rows"), 2500);
  EXPECT_EQ(done.at("total"), 2500);
  EXPECT_EQ(done.at("done"), true);
  EXPECT_FALSE(done.as_object().contains("kept_keys"));
  EXPECT_EQ(rows("status = 'sent'"), 10);
  EXPECT_EQ(rows("status = 'dead'"), 7);

  EXPECT_EQ(outboxd({"purge", "--dead-older-than", "50d"}).out, "purged 0 rows\n");
  const auto kept =
      json::parse(outboxd({"purge", "--dead-older-than", "30d", "--dry-run", "-o", "json"}).out);
  EXPECT_EQ(kept.at("rows"), 3);
  EXPECT_EQ(kept.at("kept_keys"), 4);
  // Whether they hold it stands in the settings of the sidecar.
  EXPECT_EQ(outboxd({"purge", "--dead-older-than", "30d"}, {{"OUTBOX_ON_DEAD", "continue"}}).out,
            "purged 3 rows\n"
            "kept 4 with an ordering key, which they may hold: --with-keys takes them too\n");
  EXPECT_EQ(outboxd({"purge", "--dead-older-than", "30d", "--with-keys"}).out, "purged 4 rows\n");
  EXPECT_EQ(outboxd({"purge", "--sent-older-than", "30m"}).out, "purged 10 rows\n");
  EXPECT_EQ(rows("true"), 1) << "what waits is nobody's to purge";
}

TEST_F(row_verbs, an_operator_may_and_a_stranger_is_told_what_is_missing) {
  insert_sent(5, "2 days");
  const std::string operator_url = login("outbox_operator");
  EXPECT_EQ(outboxd({"replay", "--id", "1"}, {{"OUTBOX_DATABASE_URL", operator_url}}).out,
            "replayed 1 row\n");
  const std::vector<std::string> purge{"purge", "--sent-older-than", "24h"};
  EXPECT_EQ(outboxd(purge, {{"OUTBOX_DATABASE_URL", operator_url}}).out, "purged 4 rows\n");
  EXPECT_EQ(
      outboxd({"purge", "--dead-older-than", "24h"}, {{"OUTBOX_DATABASE_URL", operator_url}}).code,
      0);
  EXPECT_EQ(outboxd({"replay", "--id", "1", "--dry-run"},
                    {{"OUTBOX_DATABASE_URL", login("outbox_relay")}})
                .code,
            0);
  const auto reader = outboxd(purge, {{"OUTBOX_DATABASE_URL", login("outbox_reader")}});
  EXPECT_EQ(reader.code, 77);
  EXPECT_THAT(reader.err, HasSubstr("permission denied"));
  const auto away = outboxd(purge, {{"OUTBOX_DATABASE_URL", "postgresql://127.0.0.1:1/none"}});
  EXPECT_EQ(away.code, 69);
}

// Binaries are replaced before the schema or after it: this one runs on version 1 too.
TEST_F(row_verbs, the_relay_runs_on_version_1_and_goes_on_while_it_becomes_version_2) {
  outbox::migrate_options options;
  options.url = shared_postgres().create_database();
  pqxx::connection connection(options.url);
  pqxx::nontransaction tx(connection);
  const auto& first = migrations::all()[0];
  tx.exec("BEGIN;" + outbox::fill_in(std::string(first.up) + outbox::record_sql(first), {}) +
          "; COMMIT");
  const auto count = [&](const std::string& condition) {
    return tx.exec("SELECT count(*) FROM outbox.messages WHERE " + condition)[0][0].as<int>();
  };
  const auto insert_keyed = [&] {
    tx.exec(
        "INSERT INTO outbox.messages (routing_key, ordering_key, payload) SELECT 'q', 'k' || n % 7,"
        " n::text FROM generate_series(1, 500) AS n");
  };
  const auto relay = start_ready(options.url);
  const std::map<std::string, std::string> env{{"OUTBOX_DATABASE_URL", options.url}};
  const auto too_early = outboxd({"replay", "--all"}, env);
  EXPECT_EQ(too_early.code, 78);
  EXPECT_THAT(too_early.err, HasSubstr("version 1, this needs version 2: run `outboxd migrate`"));
  EXPECT_EQ(outboxd({"dead", "retry", "--all"}, env).out, "retried 0 rows\n");

  insert_keyed();
  tx.exec("INSERT INTO outbox.messages (routing_key, payload) VALUES ('later', 'x')");
  ASSERT_TRUE(eventually(30s, [&] { return count("status = 'sent'") >= 100; })) << relay->log();
  const auto report = outbox::up(options).value();
  EXPECT_EQ(report.applied, std::vector<int>{2});
  insert_keyed();
  ASSERT_TRUE(eventually(30s, [&] { return count("status = 'sent'") == 1'000; })) << relay->log();
  broker.declare_queue("later");
  ASSERT_TRUE(eventually(30s, [&] { return count("status <> 'sent'") == 0; })) << relay->log();
  EXPECT_EQ(relay->metric("outbox_leadership_changes_total"), 1) << "the lead was kept";

  EXPECT_EQ(outboxd({"replay", "--all", "--rate", "0"}, env).out, "replayed 1001 rows\n");
  ASSERT_TRUE(eventually(30s, [&] { return count("status <> 'sent'") == 0; })) << relay->log();
  got.take_all(broker, "q");
  EXPECT_EQ(got.rows.size(), 1'000u);
  EXPECT_EQ(got.duplicates, 1'000u);
}

}  // namespace
}  // namespace outboxd::tests
