// `outboxd check`, as an operator uses it: what it says about the exchanges that rows name.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "tests/integration/database_fault.hpp"
#include "tests/integration/verb.hpp"

namespace outboxd::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace json = boost::json;

class check_command : public database_fault {
 protected:
  verb_answer check(const std::string& broker_url, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), "check");
    return run_verb(more, {{"OUTBOX_DATABASE_URL", db.url()}, {"OUTBOX_AMQP_URL", broker_url}});
  }

  void insert_for(const std::string& exchange) {
    ask("INSERT INTO outbox.messages (exchange, routing_key, payload) VALUES ('" + exchange +
        "', 'k', 'x') RETURNING id");
  }

  // A user who may write to these, and neither configure nor read anything.
  std::string url_of(const std::string& user, const std::string& write) {
    const auto& rabbit = shared_rabbitmq();
    const std::string vhost = amqp_url.substr(amqp_url.rfind('/') + 1);
    rabbit.ctl({"add_user", user, "x"});
    rabbit.ctl({"set_permissions", "-p", vhost, user, "^$", write, "^$"});
    return "amqp://" + user + ":x" + amqp_url.substr(amqp_url.find('@'));
  }
};

TEST_F(check_command, says_so_where_rows_name_no_exchange) {
  EXPECT_THAT(check(amqp_url).out,
              HasSubstr("ok    exchanges: no row waits, and none was sent lately\n"));
  insert(1);
  const auto found = check(amqp_url);
  EXPECT_EQ(found.code, 0) << found.out;
  EXPECT_THAT(found.out, HasSubstr("ok    exchanges: rows are for the default one only"));
}

TEST_F(check_command, tells_which_exchanges_are_there_and_which_rows_wait_for_in_vain) {
  broker.declare_exchange("cards", "fanout");
  broker.bind("q", "cards", "");
  insert_for("cards");
  EXPECT_EQ(check(amqp_url).code, 0);
  insert_for("lost");
  const auto found = check(amqp_url);
  EXPECT_EQ(found.code, 78) << found.out;
  EXPECT_THAT(found.out,
              AllOf(HasSubstr("ok    exchange cards: exists, and this user may publish to it\n"),
                    HasSubstr("FAIL  exchange lost: 404 NOT_FOUND - no exchange 'lost' in vhost"),
                    HasSubstr("rows for it wait in the table: create it")));
  EXPECT_EQ(broker.queue("q")->messages, 0u) << "nothing is published to them";

  const auto lines = json::parse(check(amqp_url, {"-o", "json"}).out);
  EXPECT_EQ(lines.as_array().back().at("check"), "exchange cards");
  EXPECT_EQ(lines.as_array().back().at("state"), "ok");

  broker.declare_exchange("lost", "topic");
  EXPECT_EQ(check(amqp_url).code, 0);
}

TEST_F(check_command, one_that_is_gone_since_the_last_row_was_sent_is_a_warning) {
  insert_for("gone");
  ask("UPDATE outbox.messages SET status = 'sent', sent_at = now() RETURNING id");
  const auto found = check(amqp_url);
  EXPECT_EQ(found.code, 0) << found.out;
  EXPECT_THAT(found.out, AllOf(HasSubstr("warn  exchange gone: 404 NOT_FOUND"),
                               HasSubstr("no row waits for it")));
}

TEST_F(check_command, a_permission_that_is_missing_is_named) {
  broker.declare_exchange("ours", "topic");
  broker.declare_exchange("theirs", "topic");
  insert_for("ours");
  insert_for("theirs");
  const auto found = check(url_of("cards_service", "^ours$"));
  EXPECT_EQ(found.code, 77) << found.out;
  EXPECT_THAT(found.out, AllOf(HasSubstr("ok    exchange ours: exists"),
                               HasSubstr("FAIL  exchange theirs: 403 ACCESS_REFUSED"),
                               HasSubstr("give this user the permission `write` on it")));
}

TEST_F(check_command, where_one_side_is_away_nothing_is_said_about_exchanges) {
  const auto no_broker = check("amqp://localhost:1/?connection_timeout=500");
  EXPECT_EQ(no_broker.code, 69);
  EXPECT_THAT(no_broker.out,
              HasSubstr("warn  exchanges: not tested: no node of the broker can be used\n"));
  ask("DROP TABLE outbox.messages");
  EXPECT_THAT(check(amqp_url).out,
              AllOf(HasSubstr("warn  exchanges: not tested: "), Not(HasSubstr("terminate"))));
}

}  // namespace
}  // namespace outboxd::tests
