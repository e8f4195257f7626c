// `outboxd check` against a broker: what a publish comes to, and what a user may not do.
#include "service/broker_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/exchange_check.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {
namespace {

using outbox::check_state;
using testing::HasSubstr;
using namespace std::chrono_literals;

class broker_check : public testing::Test {
 protected:
  base::result<service::broker_answer> check(const std::string& where,
                                             std::chrono::milliseconds limit = 10s) {
    return service::check_broker(relay::amqp::parse_uris(where).value().front(), limit);
  }

  // Of each exchange its code, or why there are fewer.
  std::string ask_about(const std::string& where, const std::vector<std::string>& names,
                        std::chrono::milliseconds limit = 10s) {
    const auto answers =
        service::ask_about_exchanges(relay::amqp::parse_uris(where).value().front(), names, limit)
            .value();
    std::string all;
    for (const auto& answer : answers.given)
      all += answer.name + " " + std::to_string(answer.code) + ", ";
    return all + answers.silence;
  }

  // A user who may do this much, in patterns as rabbitmqctl takes them.
  std::string url_of(const std::string& user, const std::string& configure,
                     const std::string& write, const std::string& read = "^$") {
    rabbit.ctl({"add_user", user, "x"});
    rabbit.ctl({"set_permissions", "-p", vhost, user, configure, write, read});
    return "amqp://" + user + ":x" + url.substr(url.find('@'));
  }

  rabbitmq_server& rabbit = shared_rabbitmq();
  const std::string vhost = rabbit.create_vhost();
  const std::string url = rabbit.url(vhost);
};

TEST_F(broker_check, a_message_is_confirmed_and_one_to_nowhere_is_returned) {
  const auto answer = check(url).value();
  EXPECT_EQ(answer.routed.state, check_state::ok) << answer.routed.text;
  EXPECT_THAT(answer.routed.text, HasSubstr("confirmed in "));
  EXPECT_EQ(answer.unroutable.state, check_state::ok) << answer.unroutable.text;
  EXPECT_THAT(answer.unroutable.text, HasSubstr("returned before its confirm (312 NO_ROUTE)"));
  EXPECT_EQ(rabbit.ctl({"list_queues", "-q", "-p", vhost}).find("outboxd"), std::string::npos)
      << "nothing is left behind";
}

TEST_F(broker_check, without_the_right_to_declare_a_queue_the_rest_is_tested) {
  const auto answer = check(url_of("no_configure", "^$", ".*")).value();
  EXPECT_EQ(answer.routed.state, check_state::warn);
  EXPECT_THAT(answer.routed.text, HasSubstr("not tested: no temporary queue, 403 ACCESS_REFUSED"));
  EXPECT_EQ(answer.unroutable.state, check_state::ok) << answer.unroutable.text;
}

TEST_F(broker_check, who_may_not_publish_to_the_default_exchange_is_told_what_was_not_tested) {
  const auto answer = check(url_of("no_default", ".*", "^events$")).value();
  for (const auto& trial : {answer.routed, answer.unroutable}) {
    EXPECT_EQ(trial.state, check_state::warn);
    EXPECT_THAT(trial.text, HasSubstr("not tested: 403 ACCESS_REFUSED"));
  }
}

TEST_F(broker_check, a_broker_in_alarm_takes_no_messages) {
  rabbit.ctl({"set_vm_memory_high_watermark", "0.00000001"});
  const auto answer = check(url, 2s).value();
  rabbit.ctl({"set_vm_memory_high_watermark", "0.4"});
  for (const auto& trial : {answer.routed, answer.unroutable}) {
    EXPECT_EQ(trial.state, check_state::fail);
    EXPECT_THAT(trial.text, HasSubstr("the broker takes no messages: low on memory"));
  }
}

TEST_F(broker_check, each_exchange_is_asked_about_whatever_became_of_the_one_before) {
  amqp_probe probe(url);
  probe.declare_exchange("here", "topic");
  probe.declare_queue("q");
  probe.bind("q", "here", "#");
  const auto bindings = rabbit.ctl({"list_bindings", "-q", "-p", vhost});
  EXPECT_EQ(ask_about(url, {"away", "here", "gone", "amq.direct", "amq.topic", "away"}),
            "away 404, here 0, gone 404, amq.direct 0, amq.topic 0, away 404, ");
  EXPECT_EQ(rabbit.ctl({"list_bindings", "-q", "-p", vhost}), bindings) << "nothing is changed";
  EXPECT_EQ(probe.queue("q")->messages, 0u);
  EXPECT_EQ(ask_about(url, {}), "");
}

TEST_F(broker_check, who_may_not_publish_to_an_exchange_is_told_so_and_need_not_read) {
  amqp_probe probe(url);
  for (const char* name : {"ours", "theirs"}) probe.declare_exchange(name, "topic");
  const std::vector<std::string> names{"theirs", "ours", "amq.direct", "none"};
  EXPECT_EQ(ask_about(url_of("writes_only", "^$", "^(ours|amq.direct)$"), names),
            "theirs 403, ours 0, amq.direct 0, none 404, ");
  EXPECT_EQ(ask_about(url_of("reads_too", "^$", "^(ours|amq.direct)$", ".*"), names),
            "theirs 403, ours 0, amq.direct 0, none 404, ");
  EXPECT_EQ(ask_about(url_of("reads_only", "^$", "^$", ".*"), names),
            "theirs 403, ours 403, amq.direct 403, none 404, ");
}

TEST_F(broker_check, when_the_time_is_over_the_rest_is_not_asked_about) {
  EXPECT_THAT(ask_about(url, std::vector<std::string>(100'000, "amq.topic"), 1ms),
              testing::EndsWith("the time was over"));
}

TEST_F(broker_check, a_broker_that_cannot_be_reached_is_no_answer) {
  const auto nobody = check("amqp://localhost:1/?connection_timeout=500");
  ASSERT_TRUE(nobody.has_error());
  EXPECT_EQ(nobody.error().kind, base::failure_kind::unavailable);
}

TEST_F(broker_check, a_login_or_a_right_to_the_virtual_host_that_is_missing_is_no_outage) {
  const std::string host = url.substr(url.find('@'));
  rabbit.ctl({"add_user", "no_rights", "x"});
  struct wanted {
    std::string url, says;
    base::failure_kind kind;
  };
  for (const auto& [where, says, kind] :
       {wanted{"amqp://no_rights:wrong" + host, "403 ACCESS_REFUSED - Login was refused",
               base::failure_kind::forbidden},
        wanted{"amqp://no_rights:x" + host, "530 NOT_ALLOWED - access to vhost",
               base::failure_kind::forbidden},
        wanted{rabbit.url("nowhere"), "530 NOT_ALLOWED - vhost nowhere not found",
               base::failure_kind::unavailable}}) {
    const auto answer = check(where);
    ASSERT_TRUE(answer.has_error()) << where;
    EXPECT_THAT(answer.error().text, HasSubstr(says));
    EXPECT_EQ(answer.error().kind, kind) << says;
  }
}

}  // namespace
}  // namespace outboxd::tests
