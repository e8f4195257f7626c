#include "service/http_handlers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/readiness.hpp"

namespace outboxd::service {
namespace {

using outbox::lead_state;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

process_view view_of(lead_state lead) {
  process_view v;
  v.relay.lead = lead;
  v.started = true;
  v.instance = "pod-1";
  if (lead == lead_state::leading) v.relay.lanes = {{true, false, ""}, {true, false, ""}};
  return v;
}

http_reply get(const process_view& view, std::string_view target, std::string_view accept = "") {
  const http_source source{[&] { return view; },
                           [](const relay::status&) { return "outbox_leader 1\n"; }};
  return answer({"GET", target, accept}, source);
}

TEST(http_handlers, metrics_have_prometheus_content_type) {
  const auto reply = get(view_of(lead_state::leading), "/metrics");
  EXPECT_EQ(reply.status, 200u);
  EXPECT_EQ(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(reply.body, "outbox_leader 1\n");
}

TEST(http_handlers, livez_does_not_look_at_dependencies) {
  const http_source nothing{[]() -> process_view { throw std::logic_error("asked"); }, {}};
  EXPECT_EQ(answer({"GET", "/livez", ""}, nothing).status, 200u);
}

TEST(http_handlers, livez_names_a_database_thread_that_does_not_come_back) {
  std::vector<outbox::db_call> calls{{"pg-read", "read", std::chrono::seconds(40), false}};
  const http_source source{[] { return process_view{}; }, [](const relay::status&) { return ""; },
                           [&] { return calls; }};
  EXPECT_EQ(answer({"GET", "/livez", ""}, source).status, 200u) << "slow is not stuck";
  calls.push_back({"pg-lead", "connect", std::chrono::seconds(640), true});
  const auto reply = answer({"GET", "/livez", ""}, source);
  EXPECT_EQ(reply.status, 503u);
  EXPECT_EQ(reply.body, "stuck: pg-lead has not come back from connect for 640 s\n");
}

TEST(http_handlers, startupz_waits_for_the_start) {
  auto view = view_of(lead_state::connecting);
  EXPECT_EQ(get(view, "/startupz").status, 200u);
  view.started = false;
  EXPECT_EQ(get(view, "/startupz").status, 503u);
}

TEST(http_handlers, a_healthy_leader_and_a_healthy_stand_by_are_ready) {
  EXPECT_EQ(get(view_of(lead_state::leading), "/readyz").status, 200u);
  EXPECT_EQ(get(view_of(lead_state::standby), "/readyz").status, 200u);
  EXPECT_EQ(get(view_of(lead_state::standby), "/readyz").body, "ok\n");
}

TEST(http_handlers, without_a_database_it_is_not_ready_and_says_why) {
  auto view = view_of(lead_state::connecting);
  view.relay.lead_detail = "connection refused";
  const auto reply = get(view, "/readyz");
  EXPECT_EQ(reply.status, 503u);
  EXPECT_THAT(reply.body, HasSubstr("database: connection refused"));
}

TEST(http_handlers, a_missing_schema_is_not_a_missing_database) {
  auto view = view_of(lead_state::not_ready);
  view.relay.lead_detail = "run outboxd migrate";
  const auto reply = get(view, "/readyz?verbose");
  EXPECT_EQ(reply.status, 503u);
  EXPECT_THAT(reply.body, AllOf(HasSubstr("[+]database ok"),
                                HasSubstr("[-]schema not ok: run outboxd migrate")));
}

TEST(http_handlers, a_leader_whose_statements_fail_is_not_ready) {
  auto view = view_of(lead_state::leading);
  view.relay.store_ok = false;
  view.relay.store_detail = "permission denied";
  EXPECT_THAT(get(view, "/readyz?verbose").body,
              HasSubstr("[-]database not ok: permission denied"));
}

TEST(http_handlers, a_closed_broker_connection_is_named) {
  auto view = view_of(lead_state::leading);
  view.relay.lanes[1] = {false, false, "ACCESS_REFUSED"};
  const auto reply = get(view, "/readyz?verbose");
  EXPECT_EQ(reply.status, 503u);
  EXPECT_THAT(reply.body, HasSubstr("[-]broker not ok: not open: connection 1: ACCESS_REFUSED"));
  view.relay.lanes.clear();
  EXPECT_EQ(get(view, "/readyz").status, 503u);
}

TEST(http_handlers, a_blocked_broker_is_not_a_closed_one) {
  auto view = view_of(lead_state::leading);
  view.relay.lanes[0] = {true, true, "low on memory"};
  EXPECT_THAT(get(view, "/readyz?verbose").body,
              AllOf(HasSubstr("[+]broker ok"),
                    HasSubstr("[-]blocked not ok: the broker blocks connection 0: low on memory")));
}

TEST(http_handlers, a_slow_statement_is_named) {
  auto view = view_of(lead_state::leading);
  view.database_calls = {{"pg-read", "read", std::chrono::seconds(12), false},
                         {"pg-write", "settle", std::chrono::milliseconds(3), false}};
  EXPECT_THAT(get(view, "/readyz?verbose").body,
              HasSubstr("[+]database ok: pg-read in read for 12 s\n"));
}

TEST(http_handlers, held_destinations_are_named_and_leave_the_instance_ready) {
  using std::chrono::seconds;
  auto view = view_of(lead_state::leading);
  view.relay.held_keys = 17;
  view.relay.holds = {
      {"", "orders", "returned: 312 NO_ROUTE", seconds(12), seconds(4), 3},
      {"events", std::nullopt, "no_exchange: 404 \n[+]forged ok", seconds(61), std::nullopt, 1}};
  const auto reply = get(view, "/readyz?verbose");
  EXPECT_EQ(reply.status, 200u);
  EXPECT_THAT(reply.body,
              HasSubstr("[+]held ok: 17 keys, 2 destinations; key orders of the default exchange "
                        "held for 12 s, 3 probes failed, next attempt in 4 s: returned: 312 "
                        "NO_ROUTE; exchange events held for 61 s, 1 probe failed, an attempt is "
                        "under way: no_exchange: 404 ?[+]forged ok\n"));
  EXPECT_THAT(get(view, "/").body, AllOf(HasSubstr("key orders of the default exchange"),
                                         HasSubstr("next attempt in 4 s")));
}

TEST(http_handlers, of_many_held_destinations_twenty_are_named) {
  auto view = view_of(lead_state::leading);
  for (int i = 0; i < 25; ++i)
    view.relay.holds.push_back({"e" + std::to_string(i), "k", "nacked", {}, {}, 3});
  for (const auto* path : {"/readyz?verbose", "/"}) {
    const auto body = get(view, path).body;
    EXPECT_THAT(body, AllOf(HasSubstr("exchange e19"), Not(HasSubstr("exchange e20")),
                            HasSubstr("and 5 more")));
  }
}

TEST(http_handlers, the_oldest_unconfirmed_message_and_the_quarantine_are_shown) {
  auto view = view_of(lead_state::leading);
  view.relay.unconfirmed = 12;
  view.relay.oldest_unconfirmed_age = std::chrono::seconds(3);
  view.relay.quarantine = relay::lane_status{false, false, "connection refused"};
  const auto reply = get(view, "/readyz?verbose");
  EXPECT_EQ(reply.status, 200u);
  EXPECT_THAT(reply.body, AllOf(HasSubstr("unconfirmed ok: 12, the oldest for 3 s\n"),
                                HasSubstr("quarantine ok: not open: connection refused\n")));
}

TEST(http_handlers, while_draining_it_is_not_ready) {
  auto view = view_of(lead_state::leading);
  view.relay.draining = true;
  EXPECT_EQ(get(view, "/readyz").status, 503u);
  EXPECT_THAT(get(view, "/readyz").body, HasSubstr("draining: shutting down"));
  EXPECT_EQ(get(view, "/livez").status, 200u);
}

TEST(http_handlers, verbose_lists_every_check_also_when_ready) {
  const auto body = get(view_of(lead_state::leading), "/readyz?exclude=x&verbose=1").body;
  EXPECT_EQ(body,
            "[+]database ok\n[+]schema ok\n[+]lead ok: leading\n[+]broker ok\n[+]blocked ok\n"
            "[+]quarantine ok: not needed\n[+]unconfirmed ok: 0\n"
            "[+]held ok: 0 keys, 0 destinations\n[+]paused ok: nothing\n[+]draining ok\nready\n");
  EXPECT_EQ(get(view_of(lead_state::leading), "/readyz?verbosely").body, "ok\n");
}

TEST(http_handlers, readyz_speaks_json_when_asked) {
  const auto reply =
      get(view_of(lead_state::standby), "/readyz", "text/html, application/json;q=0.9");
  EXPECT_EQ(reply.content_type, "application/json");
  EXPECT_THAT(reply.body, AllOf(HasSubstr(R"("ready":true)"),
                                HasSubstr(R"({"name":"lead","ok":true,"detail":"standby"})")));
}

TEST(http_handlers, readyz_stays_json_when_a_server_complains_in_another_encoding) {
  auto view = view_of(lead_state::connecting);
  view.relay.lead_detail = "FATAL: Passwort-Authentifizierung f\xfcr Benutzer";
  EXPECT_THAT(get(view, "/readyz", "application/json").body,
              HasSubstr("Passwort-Authentifizierung f?r Benutzer"));
}

TEST(http_handlers, the_page_loads_nothing_and_is_allowed_to_load_nothing) {
  const auto reply = get(view_of(lead_state::leading), "/");
  EXPECT_EQ(reply.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(reply.body,
              AllOf(HasSubstr("pod-1"), Not(HasSubstr("<script")), Not(HasSubstr("http://")),
                    Not(HasSubstr("https://")), Not(HasSubstr(" style=")), Not(HasSubstr("src="))));
  ASSERT_FALSE(reply.headers.empty());
  EXPECT_EQ(reply.headers[0].first, "Content-Security-Policy");
  EXPECT_THAT(reply.headers[0].second,
              AllOf(HasSubstr("default-src 'none'"), HasSubstr("style-src 'sha256-"),
                    Not(HasSubstr("unsafe"))));
}

TEST(http_handlers, the_page_escapes_foreign_text) {
  auto view = view_of(lead_state::connecting);
  view.relay.lead_detail = "<script>alert(\"&\")</script>";
  const auto body = get(view, "/").body;
  EXPECT_THAT(body, HasSubstr("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"));
  EXPECT_THAT(body, Not(HasSubstr("<script>")));
}

TEST(http_handlers, the_page_shows_the_backlog_of_a_leader) {
  auto view = view_of(lead_state::leading);
  EXPECT_THAT(get(view, "/").body, HasSubstr("measured by the leader"));
  view.relay.backlog = outbox::backlog{1234, 5, 6, std::nullopt};
  EXPECT_THAT(get(view, "/").body, HasSubstr("<td>1234</td>"));
}

TEST(http_handlers, an_unknown_path_is_404_and_names_the_known_ones) {
  for (const auto* path : {"/admin", "/metrics/", "//", "/livez/x", "*", ""}) {
    const auto reply = get(view_of(lead_state::leading), path);
    EXPECT_EQ(reply.status, 404u) << path;
    EXPECT_THAT(reply.body, HasSubstr("/metrics"));
  }
}

TEST(http_handlers, only_get_and_head_are_allowed) {
  for (const auto* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"}) {
    const auto reply = answer({method, "/metrics", ""}, {});
    EXPECT_EQ(reply.status, 405u) << method;
    ASSERT_EQ(reply.headers.size(), 1u);
    EXPECT_EQ(reply.headers[0], (std::pair<std::string, std::string>("Allow", "GET, HEAD")));
  }
  const http_source source{[] { return process_view{}; }, [](const relay::status&) { return ""; }};
  EXPECT_EQ(answer({"HEAD", "/metrics", ""}, source).status, 200u);
}

TEST(in_one_line, says_what_is_wrong_or_what_it_does) {
  auto leader = view_of(lead_state::leading);
  EXPECT_EQ(in_one_line(leader), "leading");
  leader.relay.backlog = outbox::backlog{.pending = 12, .oldest_due_age = {}};
  leader.relay.oldest_pending_age = std::chrono::seconds(3);
  EXPECT_EQ(in_one_line(leader), "leading, 12 rows wait, the oldest for 3 s");
  leader.relay.lanes[0].open = false;
  EXPECT_THAT(in_one_line(leader), StartsWith("not ready: broker: not open: connection 0"));
  auto other = view_of(lead_state::standby);
  other.relay.lead_detail = "led by a";
  EXPECT_EQ(in_one_line(other), "standby, led by a");
}

}  // namespace
}  // namespace outboxd::service
