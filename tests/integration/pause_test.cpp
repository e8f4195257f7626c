// `outboxd pause` and `resume`, as an operator uses them, beside a relay that polls once a minute.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "migrations/embedded.hpp"
#include "tests/integration/database_fault.hpp"
#include "tests/integration/verb.hpp"

namespace outboxd::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace json = boost::json;

class pauses : public database_fault {
 protected:
  pauses() {
    broker.declare_exchange("x", "direct");
    broker.bind("q", "x", "r");
  }

  verb_answer outboxd(const std::vector<std::string>& arguments) const {
    return run_verb(arguments, {{"OUTBOX_DATABASE_URL", db.url()}});
  }
  void done(const std::vector<std::string>& arguments) const {
    const verb_answer a = outboxd(arguments);
    ASSERT_EQ(a.code, 0) << a.err;
  }
  void insert_to_x(int count, const std::string& key = "") {
    ask("INSERT INTO outbox.messages (exchange, routing_key, ordering_key, payload) SELECT 'x', "
        "'r', "
        "nullif('" +
        key + "', ''), 'x' || n FROM generate_series(1, " + std::to_string(count) +
        ") AS n RETURNING id");
  }
  int unsent_of(const std::string& exchange) {
    return number("SELECT count(*) FROM outbox.messages WHERE status <> 'sent' AND exchange = '" +
                  exchange + "'");
  }
  static testing::AssertionResult knows_of(const sidecar& relay, double pauses) {
    if (eventually(20s, [&] { return relay.metric("outbox_paused") == pauses; }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << relay.get("/readyz?verbose") << relay.log();
  }
};

TEST_F(pauses, an_exchange_that_is_paused_waits_and_the_others_flow) {
  const auto relay = start_ready(db.url());
  done({"pause", "--exchange", "x", "--reason", "the consumer is being mended"});
  ASSERT_TRUE(knows_of(*relay, 1));
  insert_to_x(20, "k");
  insert_to_x(20);
  insert(20);
  ASSERT_TRUE(eventually(20s, [&] { return unsent_of("") == 0; })) << relay->log();
  EXPECT_EQ(unsent_of("x"), 40);
  EXPECT_THAT(relay->get("/readyz?verbose"), HasSubstr("exchange x since"));
  EXPECT_THAT(relay->get("/readyz?verbose"), HasSubstr("the consumer is being mended"));
  EXPECT_TRUE(relay->logged("pause.began"));
  done({"resume", "--exchange", "x"});
  expect_everything_delivered(*relay);
  EXPECT_EQ(number("SELECT max(attempts) FROM outbox.messages"), 0);
  EXPECT_TRUE(relay->logged("pause.ended"));
}

TEST_F(pauses, a_key_that_is_paused_waits_and_goes_on_in_its_order) {
  const auto relay = start_ready(db.url());
  done({"pause", "--key", "k"});
  ASSERT_TRUE(knows_of(*relay, 1));
  insert(30, "q", "k");
  insert(30, "q", "other");
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 30; })) << relay->log();
  EXPECT_EQ(
      number("SELECT count(*) FROM outbox.messages WHERE status = 'sent' AND ordering_key = 'k'"),
      0);
  done({"resume", "--key", "k"});
  expect_everything_delivered(*relay);
}

TEST_F(pauses, everything_is_paused_for_whoever_leads_next_too) {
  auto relay = start_ready(db.url());
  insert(10);
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; }));
  done({"pause"});
  ASSERT_TRUE(knows_of(*relay, 1));
  relay->kill(SIGKILL);
  relay = start_ready(db.url());
  ASSERT_TRUE(knows_of(*relay, 1));
  insert(10);
  ASSERT_TRUE(eventually(60s, [&] { return relay->metric("outbox_pending_messages") == 10; }));
  EXPECT_EQ(unsent(), 10);
  EXPECT_GT(relay->metric("outbox_oldest_pending_age_seconds"), 0) << "somebody may want to know";
  EXPECT_EQ(relay->get("/readyz").find("not"), std::string::npos);
  done({"resume"});
  expect_everything_delivered(*relay);
}

TEST_F(pauses, the_relay_hears_of_them_without_notifications_too) {
  const auto relay =
      start_ready(db.url(), {{"OUTBOX_WAKE", "poll"}, {"OUTBOX_POLL_INTERVAL", "100ms"}});
  writers load(db.url());
  ASSERT_TRUE(
      eventually(20s, [&] { return relay->metric("outbox_messages_confirmed_total") > 50; }));
  done({"pause"});
  ASSERT_TRUE(knows_of(*relay, 1));
  const double before = relay->metric("outbox_messages_published_total");
  ASSERT_TRUE(eventually(60s, [&] { return relay->metric("outbox_pending_messages") > 50; }));
  EXPECT_EQ(relay->metric("outbox_messages_published_total"), before);
  done({"resume"});
  expect_everything_delivered(*relay, &load);
}

TEST_F(pauses, one_with_an_end_ends_by_itself) {
  const auto relay = start_ready(db.url());
  done({"pause", "--for", "1h"});
  ASSERT_TRUE(knows_of(*relay, 1));
  insert(5);
  const auto listed = json::parse(outboxd({"pause", "--list", "-o", "json"}).out);
  EXPECT_TRUE(listed.at(0).at("exchange").is_null());
  EXPECT_FALSE(listed.at(0).at("until").is_null());
  EXPECT_EQ(unsent(), 5);
  done({"pause", "--for", "1s"});  // the last word counts
  expect_everything_delivered(*relay);
  EXPECT_EQ(outboxd({"pause", "--list"}).out, "nothing is paused\n");
}

TEST_F(pauses, verbs_say_what_is_paused_afterwards) {
  EXPECT_THAT(outboxd({"pause", "--exchange", ""}).out, HasSubstr("paused: the default exchange"));
  EXPECT_THAT(outboxd({"pause", "--key", "user 7", "--reason", "why not"}).out,
              AllOf(HasSubstr("paused: the default exchange"), HasSubstr("paused: key user 7"),
                    HasSubstr(": why not")));
  EXPECT_THAT(outboxd({"resume"}).out,
              AllOf(HasSubstr("everything was not paused\n"), HasSubstr("paused: key user 7")));
  EXPECT_THAT(outboxd({"resume", "--key", "user 7"}).out, HasSubstr("key user 7 goes on\n"));
  EXPECT_EQ(outboxd({"resume", "--exchange", ""}).out,
            "the default exchange goes on\nnothing is paused\n");
}

TEST_F(pauses, the_relay_runs_on_the_version_of_the_schema_before_and_learns_of_the_new_one) {
  const auto& newest = migrations::all().back();
  ask(std::string(newest.down));
  ask("DELETE FROM outbox.schema_version WHERE version = " + std::to_string(newest.version) +
      " RETURNING version");
  const auto relay = start_ready(db.url());
  insert(5);
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; })) << relay->log();
  const verb_answer refused = outboxd({"pause"});
  EXPECT_EQ(refused.code, 78) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("outboxd migrate"));
  EXPECT_THAT(outboxd({"check"}).out, HasSubstr("will do"));

  done({"migrate"});
  done({"pause", "--exchange", "x"});
  insert_to_x(5);
  ASSERT_TRUE(knows_of(*relay, 1));
  insert(5);
  ASSERT_TRUE(eventually(20s, [&] { return unsent_of("") == 0; }));
  done({"resume", "--exchange", "x"});
  expect_everything_delivered(*relay);
}

}  // namespace
}  // namespace outboxd::tests
