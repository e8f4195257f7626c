// `outboxd dead`, as an operator uses it: the program, a database, a relay beside it.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <csignal>

#include "tests/integration/database_fault.hpp"
#include "tests/integration/locked_row.hpp"
#include "tests/integration/verb.hpp"

namespace outboxd::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace json = boost::json;

class dead_command : public database_fault {
 protected:
  verb_answer outboxd(std::vector<std::string> arguments, const std::string& url = "") const {
    arguments.insert(arguments.begin(), "dead");
    return run_verb(arguments, {{"OUTBOX_DATABASE_URL", url.empty() ? db.url() : url}});
  }

  // id 1 to 4: three too large, of which two with a key, and one refused.
  dead_command() {
    ask("INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload, headers)"
        " VALUES ('', 'q', 'a', 'user.created', 'one', '{\"h\": 1}'), ('', 'q', 'b', NULL, 'two', "
        "NULL),"
        " ('', 'q', NULL, NULL, 'three', NULL), ('x', 'r', NULL, NULL, 'four', NULL) RETURNING id");
    ask("UPDATE outbox.messages SET status = 'dead', due_at = now(), attempts = 1,"
        " last_error = 'too_large: 3 bytes' RETURNING id");
    ask("UPDATE outbox.messages SET last_error = 'refused: 406 PRECONDITION_FAILED',"
        " due_at = now() - interval '3 hours' WHERE id = 4 RETURNING id");
  }

  // From id 5 on; every third has a key.
  void insert_dead(int count) {
    ask("INSERT INTO outbox.messages (routing_key, ordering_key, payload) SELECT 'q',"
        " CASE WHEN n % 3 = 0 THEN 'k' || n END, 'n' || n FROM generate_series(1, " +
        std::to_string(count) + ") AS n RETURNING id");
    ask("UPDATE outbox.messages SET status = 'dead', due_at = now(), last_error = 'nacked: n'"
        " WHERE status = 'pending' RETURNING id");
  }
};

TEST_F(dead_command, lists_what_the_filters_let_through) {
  const auto all = json::parse(outboxd({"list", "-o", "json"}).out).as_array();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].at("id"), 1);
  EXPECT_EQ(all[0].at("ordering_key"), "a");
  EXPECT_EQ(all[0].at("type"), "user.created");
  EXPECT_TRUE(all[1].at("type").is_null());
  EXPECT_EQ(all[3].at("last_error"), "refused: 406 PRECONDITION_FAILED");

  const auto ids = [&](std::vector<std::string> filter) {
    filter.insert(filter.begin(), {"list", "-o", "json"});
    const auto listed = outboxd(filter);
    EXPECT_EQ(listed.code, 0) << listed.err;
    std::string text;
    const json::value rows = json::parse(listed.out);
    for (const auto& row : rows.as_array()) text += std::to_string(row.at("id").to_number<int>());
    return text;
  };
  EXPECT_EQ(ids({"--exchange", "x"}), "4");
  EXPECT_EQ(ids({"--exchange", ""}), "123");
  EXPECT_EQ(ids({"--routing-key", "q", "--key", "b"}), "2");
  EXPECT_EQ(ids({"--type", "user.created"}), "1");
  EXPECT_EQ(ids({"--reason", "refused"}), "4");
  EXPECT_EQ(ids({"--since", "1h"}), "123");
  EXPECT_EQ(ids({"--since",
                 ask("SELECT to_char(now() - interval '1 h', 'YYYY-MM-DD\"T\"HH24:MI:SSOF')")}),
            "123");
  EXPECT_EQ(ids({"--since", "4h"}), "1234");
  EXPECT_EQ(ids({"--id", "3"}), "3");
  EXPECT_EQ(ids({"--limit", "2"}), "12");
  EXPECT_EQ(ids({"--id", "99"}), "");
  EXPECT_THAT(outboxd({"--limit", "2"}).err, HasSubstr("--help")) << "an option of list";
  EXPECT_THAT(outboxd({}).out, AllOf(HasSubstr("queue q  key a"), HasSubstr("x/r")));
  EXPECT_THAT(outboxd({"list", "--limit", "3"}).out, HasSubstr("3 of 4 rows"));
}

TEST_F(dead_command, shows_one_row_with_its_body) {
  const auto one = outboxd({"show", "1"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, AllOf(HasSubstr("last_error    too_large: 3 bytes"),
                             HasSubstr("3 bytes\none\n"), HasSubstr(R"({"h": 1})")));
  const auto none = outboxd({"show", "99"});
  EXPECT_EQ(none.code, 1);
  EXPECT_EQ(none.err, "outboxd: there is no dead row 99\n");
}

TEST_F(dead_command, retries_and_discards_what_was_chosen_and_nothing_else) {
  broker.declare_exchange("x", "direct");
  broker.bind("q", "x", "r");
  const auto relay = start_ready(db.url());
  const auto nothing = outboxd({"retry"});
  EXPECT_EQ(nothing.code, 64);
  EXPECT_THAT(nothing.err, HasSubstr("--all"));
  EXPECT_EQ(outboxd({"retry", "--all", "--dry-run"}).out, "would retry 4 rows\n");
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE status = 'dead'"), 4);

  EXPECT_EQ(outboxd({"discard", "--id", "3"}).out, "discarded 1 row\n");
  EXPECT_EQ(outboxd({"retry", "--reason", "too_large"}).out, "retried 2 rows\n");
  // The relay polls once a minute here: it was woken.
  ASSERT_TRUE(eventually(20s, [&] {
    return number("SELECT count(*) FROM outbox.messages WHERE status = 'sent'") == 2;
  })) << relay->log();
  const auto rest = json::parse(outboxd({"retry", "--all", "-o", "json"}).out);
  EXPECT_EQ(rest.at("rows"), 1);
  EXPECT_EQ(rest.at("done"), true);
  expect_everything_delivered(*relay);
  EXPECT_EQ(got.rows.size(), 3u);
}

TEST_F(dead_command, decides_about_thousands_and_says_how_many_there_were) {
  insert_dead(2'500);
  const auto all = json::parse(outboxd({"discard", "--reason", "nacked", "-o", "json"}).out);
  EXPECT_EQ(all.at("action"), "discard");
  EXPECT_EQ(all.at("rows"), 2500);
  EXPECT_EQ(all.at("total"), 2500);
  EXPECT_EQ(all.at("done"), true);
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages"), 4);
  const auto would = json::parse(outboxd({"discard", "--all", "--dry-run", "-o", "json"}).out);
  EXPECT_EQ(would.at("rows"), 4);
  EXPECT_EQ(would.at("done"), false);
}

// The second of three statements waits for a row that somebody else has locked: the signal comes
// while it does.
TEST_F(dead_command, a_signal_ends_it_between_two_batches_and_the_printed_line_does_the_rest) {
  insert_dead(2'500);
  const std::vector<std::string> typed{"dead", "retry", "--reason", "nacked", "--since", "1h"};
  locked_row row(db.url(), 1'504);
  const auto first = begin_verb(typed, {{"OUTBOX_DATABASE_URL", db.url()}});
  ASSERT_TRUE(eventually(60s, [&] { return row.is_waited_for("outboxd dead"); })) << first->err();
  first->kill(SIGINT);
  row.release();
  const auto stopped = end_of(*first);
  EXPECT_EQ(stopped.code, 75) << stopped.err;
  EXPECT_EQ(stopped.out, "retried 2000 rows\n");
  EXPECT_THAT(stopped.err, HasSubstr("stopped by a signal"));
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE status = 'deferred'"), 2'000);

  auto words = words_to_go_on(stopped.err);
  ASSERT_EQ(words.size(), 6u) << stopped.err;
  EXPECT_THAT(words.back(), testing::StartsWith("2")) << "a time, by now";
  words[3] = "nacked";  // as a shell would have it
  EXPECT_EQ(run_verb(words, {{"OUTBOX_DATABASE_URL", db.url()}}).out, "retried 500 rows\n");
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE status = 'dead'"), 4);
  const auto relay = start_ready(db.url());
  ASSERT_TRUE(eventually(60s, [&] {
    return number("SELECT count(*) FROM outbox.messages WHERE status = 'sent'") == 2'500;
  })) << relay->log();
}

// Another verb for the same people.
TEST_F(dead_command, status_says_what_the_process_does) {
  const auto relay = start_ready(db.url());
  const auto ask_status = [&](std::vector<std::string> arguments, const std::string& listen) {
    arguments.insert(arguments.begin(), "status");
    return run_verb(arguments, {{"OUTBOX_HTTP_LISTEN", listen}});
  };
  const std::string listen = "127.0.0.1:" + std::to_string(relay->port());
  ASSERT_TRUE(eventually(30s, [&] { return relay->metric("outbox_dead_messages") == 4; }));
  const auto once = ask_status({}, listen);
  EXPECT_EQ(once.code, 0) << once.err;
  EXPECT_THAT(once.out, AllOf(HasSubstr("[+]lead ok: leading"),
                              HasSubstr("dead          4: refused 1, too_large 3\n"),
                              Not(HasSubstr("died"))));
  insert(5);
  ASSERT_TRUE(
      eventually(20s, [&] { return relay->metric("outbox_messages_confirmed_total") == 5; }));
  const auto twice = ask_status({"--watch", "--count", "2"}, listen);
  EXPECT_THAT(twice.out, HasSubstr("confirmed     5, 0/s"));
  const auto parsed = json::parse(ask_status({"-o", "json"}, listen).out);
  EXPECT_EQ(parsed.at("ready"), true);
  EXPECT_EQ(parsed.at("metrics").at("outbox_messages_confirmed_total").to_number<int>(), 5);
  const auto standby = start(db.url());
  ASSERT_TRUE(eventually(30s, [&] {
    return standby->get("/readyz?verbose").find("standby") != std::string::npos;
  })) << standby->log();
  const auto beside = ask_status({}, "127.0.0.1:" + std::to_string(standby->port()));
  EXPECT_EQ(beside.code, 0) << beside.err;
  EXPECT_THAT(beside.out, AllOf(HasSubstr("[+]lead ok: standby"), HasSubstr("dead          –\n"),
                                HasSubstr("unconfirmed   0\n")));
  const auto nobody = ask_status({}, "127.0.0.1:1");
  EXPECT_EQ(nobody.code, 69);
  EXPECT_THAT(nobody.err, HasSubstr("no outboxd answers on OUTBOX_HTTP_LISTEN"));
}

// As while it is replaced.
TEST_F(dead_command, who_watches_sees_it_go_and_come_back) {
  auto relay = start_ready(db.url());
  const std::string listen = "127.0.0.1:" + std::to_string(relay->port());
  const auto watch = begin_verb({"status", "--watch"}, {{"OUTBOX_HTTP_LISTEN", listen}});
  ASSERT_TRUE(eventually(30s, [&] { return watch->out().find("/s\n") != std::string::npos; }));
  relay->kill(SIGTERM);
  ASSERT_TRUE(relay->wait(60s));
  EXPECT_TRUE(eventually(30s, [&] {
    return testing::Matches(testing::ContainsRegex(
        "outboxd: 20..-..-..T..:..:..\\....Z no outboxd answers on OUTBOX_HTTP_LISTEN"))(
        watch->err());
  })) << watch->err();
  const auto seen = watch->out().size();
  relay = start(db.url(), {{"OUTBOX_HTTP_LISTEN", listen}});
  EXPECT_TRUE(eventually(60s, [&] { return watch->out().find("/s\n", seen) != std::string::npos; }))
      << watch->err() << relay->log();
  EXPECT_TRUE(watch->running());
  watch->kill(SIGINT);
  const auto end = watch->wait(30s);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->signal, SIGINT);

  const auto nobody = run_verb({"status", "--watch", "--count", "2", "-o", "json"},
                               {{"OUTBOX_HTTP_LISTEN", "127.0.0.1:1"}});
  EXPECT_EQ(nobody.code, 69) << "as the last look";
  EXPECT_EQ(std::count(nobody.out.begin(), nobody.out.end(), '\n'), 2) << nobody.out;
}

TEST_F(dead_command, says_what_is_in_the_way) {
  const auto away = outboxd({"list"}, "postgresql://127.0.0.1:1/none");
  EXPECT_EQ(away.code, 69);
  EXPECT_THAT(away.err, AllOf(HasSubstr("outboxd: "), Not(HasSubstr("terminate"))));
  ask("CREATE ROLE stranger LOGIN PASSWORD 'x'");
  const std::string& url = db.url();
  EXPECT_EQ(outboxd({"list"}, "postgresql://stranger:x" + url.substr(url.find('@'))).code, 77);
}

}  // namespace
}  // namespace outboxd::tests
