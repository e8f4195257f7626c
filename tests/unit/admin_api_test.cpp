// The admin API over a database that a test invents; no socket.
#include "service/admin_api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "tests/support/eventually.hpp"
#include "tests/support/recording_log.hpp"

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class invented_database final : public admin_database {
 public:
  base::result<std::vector<outbox::dead_row>> list_dead(blocking_call&,
                                                        const outbox::dead_row_filter&,
                                                        std::int64_t, std::size_t limit) override {
    if (down) return away();
    std::vector<outbox::dead_row> rows(std::min<std::size_t>(limit, 3));
    for (auto& row : rows) row.id = ++ids;
    return rows;
  }
  base::result<outbox::dead_row_in_full> show_dead(blocking_call&, std::int64_t id) override {
    if (id == 404) return base::failure{base::failure_kind::not_ready, "there is no dead row 404"};
    outbox::dead_row_in_full found;
    found.row.id = id;
    found.body_beginning = "secret business";
    return found;
  }
  base::result<std::size_t> count_dead(blocking_call&, const outbox::dead_row_filter&) override {
    return 3;
  }
  base::result<std::size_t> decide_dead(blocking_call& call, const outbox::dead_row_filter&,
                                        outbox::dead_row_fate) override {
    if (down) return away();
    if (!hangs) return 2;
    bool cut = false;
    call.waits_for([this, &cut] {
      const std::lock_guard ending(mutex);
      cut = true;
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return cut; });
    return base::failure{base::failure_kind::unavailable, "the connection ended"};
  }
  base::result<std::vector<outbox::pause>> list_pauses(blocking_call&) override {
    return std::vector<outbox::pause>{{{"x", {}}, "why", "me", "2026-01-01T00:00:00Z", {}}};
  }
  base::result<void> begin_pause(blocking_call&, const outbox::pause_scope&,
                                 std::optional<std::chrono::seconds>, const std::string&) override {
    if (full) return base::failure{base::failure_kind::rejected, "256 pauses are in force"};
    return {};
  }
  base::result<bool> end_pause(blocking_call&, const outbox::pause_scope& scope) override {
    return scope.exchange.has_value();
  }

  bool down = false, hangs = false, full = false;

 private:
  static base::failure away() { return {base::failure_kind::unavailable, "connection refused"}; }

  std::int64_t ids = 0;
  std::mutex mutex;
  std::condition_variable changed;
};

class admin_api_test : public testing::Test {
 protected:
  http_reply ask(std::string_view method, std::string_view target, std::string_view body = "") {
    const auto answers = ask_all({{method, target, body}});
    return answers.at(0);
  }

  struct asked {
    std::string_view method, target, body;
  };
  std::vector<http_reply> ask_all(const std::vector<asked>& questions) {
    std::vector<http_reply> answers;
    for (const auto& q : questions) {
      api->answer({.method = q.method,
                   .target = q.target,
                   .host = "localhost",
                   .authorization = authorization,
                   .content_type = "application/json",
                   .body = q.body,
                   .remote = "127.0.0.9"},
                  [&](http_reply reply) { answers.push_back(std::move(reply)); });
    }
    io.restart();
    io.run();
    return answers;
  }

  void make(std::chrono::milliseconds limit) {
    http_source status{[] { return process_view{}; },
                       [](const relay::status&) { return "outbox_leader 1\n"; }};
    api = std::make_unique<admin_api>(io.get_executor(),
                                      admin_source{status, [this] { return token; }, database},
                                      audit, log, limit);
  }
  admin_api_test() { make(60s); }

  boost::asio::io_context io{1};
  base::result<std::optional<std::string>> token = std::optional<std::string>();
  std::string authorization;
  const std::shared_ptr<invented_database> database = std::make_shared<invented_database>();
  tests::recording_log audit, log;
  std::unique_ptr<admin_api> api;
};

TEST_F(admin_api_test, the_page_is_for_everybody_and_holds_nothing) {
  token = std::optional<std::string>("0123456789abcdef");
  EXPECT_EQ(ask("GET", "/").status, 200u);
  EXPECT_EQ(ask("GET", "/?x").status, 200u);
  EXPECT_EQ(ask("POST", "/").status, 401u);
}

TEST_F(admin_api_test, everything_else_wants_the_token_and_tells_strangers_nothing) {
  token = std::optional<std::string>("0123456789abcdef");
  for (const auto* path : {"/admin/v1/status", "/admin/v1/dead", "/admin/v1/nothing", "/metrics"})
    EXPECT_EQ(ask("GET", path).status, 401u) << path;
  EXPECT_EQ(ask("POST", "/admin/v1/dead/retry", "nonsense").status, 401u);
  EXPECT_THAT(audit.lines("admin.action"), IsEmpty());
  EXPECT_THAT(log.lines("admin.refused").at(0),
              AllOf(HasSubstr("127.0.0.9"), HasSubstr("status=401")));
  authorization = "Bearer 0123456789abcdef";
  EXPECT_EQ(ask("GET", "/admin/v1/status").status, 200u);
  // A token is asked for anew each time.
  token = std::optional<std::string>("another-one-that-is-new");
  EXPECT_EQ(ask("GET", "/admin/v1/status").status, 401u);
  token = base::failure{base::failure_kind::bad_input, "cannot read /token"};
  EXPECT_EQ(ask("GET", "/admin/v1/status").status, 503u);
  EXPECT_THAT(log.lines("admin.no_token").back(), HasSubstr("cannot read /token"));
}

TEST_F(admin_api_test, answers_come_as_json) {
  const auto list = boost::json::parse(ask("GET", "/admin/v1/dead?limit=3").body);
  EXPECT_EQ(list.at("rows").as_array().size(), 3u);
  EXPECT_EQ(list.at("next"), 3) << "there may be more";
  EXPECT_TRUE(boost::json::parse(ask("GET", "/admin/v1/dead?limit=4").body).at("next").is_null());
  EXPECT_EQ(boost::json::parse(ask("GET", "/admin/v1/dead/9").body).at("body_beginning"),
            "secret business");
  EXPECT_EQ(boost::json::parse(ask("GET", "/admin/v1/pauses").body).at("pauses").at(0).at("by"),
            "me");
  EXPECT_EQ(boost::json::parse(ask("GET", "/admin/v1/status").body).at("state"), "connecting");
}

TEST_F(admin_api_test, every_action_leaves_one_line_also_when_it_is_the_same_again) {
  const auto* body = R"({"exchange": "x"})";
  EXPECT_EQ(ask("POST", "/admin/v1/dead/retry", body).body,
            "{\"action\":\"retry\",\"rows\":2,\"done\":true}\n");
  ask("POST", "/admin/v1/dead/retry", body);
  ask("POST", "/admin/v1/dead/discard", R"({"all": true, "dry_run": true})");
  ask("GET", "/admin/v1/dead/9");
  ask("PUT", "/admin/v1/pause", R"({"for": "2m", "reason": "a new consumer"})");
  ask("DELETE", "/admin/v1/pause?exchange=x");
  for (const auto* path : {"/admin/v1/dead", "/admin/v1/pauses", "/admin/v1/status"})
    ask("GET", path);
  const auto retried =
      AllOf(HasSubstr("action=retry"), HasSubstr("remote=127.0.0.9"),
            HasSubstr(R"({"exchange":"x"})"), HasSubstr("rows=2"), HasSubstr("result=done"));
  EXPECT_THAT(
      audit.lines("admin.action"),
      ElementsAre(retried, retried, AllOf(HasSubstr("action=discard"), HasSubstr("dry_run=true")),
                  AllOf(HasSubstr("action=show"), HasSubstr(R"({"id":9})")),
                  AllOf(HasSubstr("action=pause"), HasSubstr("for_s=120"),
                        HasSubstr("reason=a new consumer")),
                  HasSubstr("action=resume")));
}

TEST_F(admin_api_test, what_fails_is_a_problem_and_is_written_down_too) {
  database->down = database->full = true;
  EXPECT_EQ(ask("GET", "/admin/v1/dead").status, 503u);
  const auto retry = ask("POST", "/admin/v1/dead/retry", R"({"id": 1})");
  EXPECT_EQ(retry.status, 503u);
  EXPECT_EQ(retry.content_type, "application/problem+json");
  EXPECT_THAT(retry.body, HasSubstr("connection refused"));
  EXPECT_THAT(audit.lines("admin.action").back(),
              AllOf(HasSubstr("result=failed"), HasSubstr("refused")));
  EXPECT_EQ(ask("GET", "/admin/v1/dead/404").status, 404u);
  EXPECT_EQ(ask("PUT", "/admin/v1/pause", "{}").status, 409u);
  EXPECT_EQ(ask("DELETE", "/admin/v1/pause").status, 404u);
}

TEST_F(admin_api_test, what_takes_too_long_is_cut_off_and_answered_504) {
  make(20ms);
  database->hangs = true;
  EXPECT_EQ(ask("POST", "/admin/v1/dead/retry", R"({"id": 1})").status, 504u);
  EXPECT_THAT(audit.lines("admin.action"),
              ElementsAre(AllOf(HasSubstr("result=unknown"), HasSubstr("the connection ended"))));
  database->hangs = false;
  EXPECT_TRUE(tests::eventually(20s, [this] {
    return ask("POST", "/admin/v1/dead/retry", R"({"id": 1})").status == 200;
  })) << "the next one runs";
}

TEST_F(admin_api_test, of_many_questions_at_once_some_are_sent_away) {
  const std::vector<asked> many(20, {"POST", "/admin/v1/dead/retry", R"({"id": 1})"});
  const auto answers = ask_all(many);
  ASSERT_THAT(answers, SizeIs(20));
  const auto away = std::ranges::count(answers, 503u, &http_reply::status);
  EXPECT_EQ(away, 4);
  EXPECT_THAT(audit.lines("admin.action"), SizeIs(16));
}

TEST_F(admin_api_test, stop_answers_what_is_asked_and_cuts_it_off) {
  database->hangs = true;
  std::vector<http_reply> answers;
  for (int i = 0; i < 2; ++i) {
    api->answer({.method = "POST",
                 .target = "/admin/v1/dead/discard",
                 .host = "localhost",
                 .content_type = "application/json",
                 .body = R"({"all": true})"},
                [&](http_reply reply) { answers.push_back(std::move(reply)); });
  }
  api->stop();
  EXPECT_THAT(answers, SizeIs(2));
  for (const auto& reply : answers) EXPECT_EQ(reply.status, 503u);
  io.run();
  EXPECT_THAT(answers, SizeIs(2)) << "once each";
  EXPECT_THAT(audit.lines("admin.action"), SizeIs(2)) << "and both are written down";
  EXPECT_EQ(ask("GET", "/admin/v1/dead").status, 503u);
  api->stop();
}

}  // namespace
}  // namespace outboxd::service
