#include "service/http_handlers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "service/readiness.hpp"
#include "service/status_page.hpp"

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
                        "under way: no_exchange: 404  [+]forged ok\n"));
  EXPECT_THAT(get(view, "/status.json").body, AllOf(HasSubstr("key orders of the default exchange"),
                                                    HasSubstr("next attempt in 4 s")));
}

TEST(http_handlers, of_many_held_destinations_twenty_are_named) {
  auto view = view_of(lead_state::leading);
  for (int i = 0; i < 25; ++i)
    view.relay.holds.push_back({"e" + std::to_string(i), "k", "nacked", {}, {}, 3});
  for (const auto& [path, more] : {std::pair("/readyz?verbose", "and 5 more"),
                                   std::pair("/status.json", "\"more_holds\":5")}) {
    EXPECT_THAT(get(view, path).body,
                AllOf(HasSubstr("exchange e19"), Not(HasSubstr("exchange e20")), HasSubstr(more)));
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

TEST(http_handlers, status_json_says_what_status_shows) {
  auto view = view_of(lead_state::leading);
  view.relay.lead_detail = "Passwort f\xfcr \"x\"";
  view.uptime = std::chrono::seconds(7);
  const http_source source{[&] { return view; },
                           [](const relay::status&) {
                             return "outbox_leader 1\n"
                                    "outbox_messages_failed_total{reason=\"returned\"} 3\n"
                                    "outbox_delivery_latency_seconds_bucket{le=\"+Inf\"} 4\n"
                                    "outbox_db_query_duration_seconds_bucket{le=\"1\"} 5\n"
                                    "outbox_odd NaN\n";
                           }};
  const auto reply = answer({"GET", "/status.json"}, source);
  EXPECT_EQ(reply.content_type, "application/json");
  const auto now = boost::json::parse(reply.body);
  EXPECT_EQ(now.at("instance"), "pod-1");
  EXPECT_EQ(now.at("state"), "leading");
  EXPECT_EQ(now.at("ready"), true);
  EXPECT_EQ(now.at("uptime_seconds"), 7);
  EXPECT_EQ(now.at("checks").as_array().size(), readiness(view).size());
  const auto& metrics = now.at("metrics").as_object();
  EXPECT_EQ(metrics.at("outbox_messages_failed_total{reason=\"returned\"}"), 3.0);
  EXPECT_TRUE(metrics.contains("outbox_delivery_latency_seconds_bucket{le=\"+Inf\"}"));
  EXPECT_EQ(metrics.size(), 3u) << "no buckets of statements, and what is no number is no JSON";
  view.relay.draining = true;
  EXPECT_EQ(boost::json::parse(answer({"GET", "/status.json"}, source).body).at("state"),
            "draining");
}

TEST(http_handlers, the_page_loads_nothing_and_is_allowed_to_load_nothing) {
  for (const auto role : {page_role::read_only, page_role::admin}) {
    const auto reply = status_page(role);
    EXPECT_EQ(reply.content_type, "text/html; charset=utf-8");
    for (const auto* foreign : {"https://", " style=", "src=", "@import", "url(", " onclick", "{{"})
      EXPECT_THAT(reply.body, Not(HasSubstr(foreign)));
    for (const auto* unsafe :
         {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("})
      EXPECT_THAT(reply.body, Not(HasSubstr(unsafe)));
    ASSERT_FALSE(reply.headers.empty());
    EXPECT_EQ(reply.headers[0].first, "Content-Security-Policy");
    EXPECT_THAT(reply.headers[0].second,
                AllOf(StartsWith("default-src 'none'; connect-src 'self'; "),
                      HasSubstr("style-src 'sha256-"), HasSubstr("script-src 'sha256-"),
                      HasSubstr("frame-ancestors 'none'"), Not(HasSubstr("unsafe"))));
  }
  EXPECT_EQ(get(view_of(lead_state::leading), "/").body, status_page(page_role::read_only).body);
  EXPECT_THAT(status_page(page_role::read_only).body, HasSubstr("data-role=\"read-only\""));
  EXPECT_THAT(status_page(page_role::admin).body, HasSubstr("data-role=\"admin\""));
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
