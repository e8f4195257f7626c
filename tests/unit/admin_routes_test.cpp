#include "service/admin_routes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

http_request posting(std::string_view target, std::string_view body,
                     std::string_view type = "application/json") {
  return {.method = "POST", .target = target, .content_type = type, .body = body};
}

admin_call call_of(const http_request& request) {
  auto asked = to_call(request);
  if (const auto* refusal = std::get_if<http_reply>(&asked))
    throw std::runtime_error(refusal->body);
  return std::get<admin_call>(asked);
}

http_reply refusal_of(const http_request& request) {
  auto asked = to_call(request);
  if (!std::holds_alternative<http_reply>(asked)) throw std::runtime_error("it is let through");
  return std::get<http_reply>(asked);
}

TEST(admin_routes, a_list_takes_filters_from_the_query) {
  const auto all = call_of({.method = "GET", .target = "/admin/v1/dead"});
  EXPECT_EQ(all.what, admin_action::list_dead);
  EXPECT_EQ(all.limit, 100u);
  EXPECT_FALSE(all.which.exchange);
  const auto some = call_of(
      {.method = "HEAD",
       .target = "/admin/v1/dead?exchange=&routing_key=a%2Fb+c&ordering_key=k&type=t&reason=nacked"
                 "&since=1500ms&id=7&after=3&limit=9"});
  EXPECT_EQ(some.which.exchange, "");
  EXPECT_EQ(some.which.routing_key, "a/b c");
  EXPECT_EQ(some.which.ordering_key, "k");
  EXPECT_EQ(some.which.type, "t");
  EXPECT_EQ(some.which.reason, "nacked");
  EXPECT_EQ(some.which.since->ago, 2s) << "rounded up: nothing asked for is left out";
  EXPECT_EQ(some.which.id, 7);
  EXPECT_EQ(some.after, 3);
  EXPECT_EQ(some.limit, 9u);
}

TEST(admin_routes, one_row_is_named_by_its_number) {
  EXPECT_EQ(call_of({.method = "GET", .target = "/admin/v1/dead/17"}).which.id, 17);
  for (const auto* path : {"/admin/v1/dead/", "/admin/v1/dead/x", "/admin/v1/dead/-1",
                           "/admin/v1/dead/99999999999999999999", "/admin/v1/dead/1/2"})
    EXPECT_EQ(refusal_of({.method = "GET", .target = path}).status, 404u) << path;
}

TEST(admin_routes, decisions_take_a_filter_or_all) {
  const auto retry =
      call_of(posting("/admin/v1/dead/retry", R"({"exchange": "x", "dry_run": true})"));
  EXPECT_EQ(retry.what, admin_action::retry);
  EXPECT_EQ(retry.which.exchange, "x");
  EXPECT_TRUE(retry.dry_run);
  const auto discard = call_of(
      posting("/admin/v1/dead/discard", R"({"all": true})", "Application/JSON; charset=utf-8"));
  EXPECT_EQ(discard.what, admin_action::discard);
  EXPECT_FALSE(discard.dry_run);
}

TEST(admin_routes, a_mistake_never_widens_what_is_decided_about) {
  for (const auto& [body, detail] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "a filter is wanted"},
           {R"({"all": false})", "a filter is wanted"},
           {R"({"exchange": null})", "a filter is wanted"},
           {R"({"all": true, "id": 7})", "exclude each other"},
           {R"({"exchnge": "x", "all": true})", R"(there is no \"exchnge\" here)"},
           {R"({"id": "7"})", "id is not a whole number from 1"},
           {R"({"id": 7.5})", "id is not a whole number"},
           {R"({"id": -1})", "id is not a whole number"},
           {R"({"exchange": 7})", "exchange is not a string"},
           {R"({"exchange": "a\u0000b"})", "without NUL"},
           {"{\"exchange\": \"" + std::string(256, 'x') + "\"}", "more than 255 bytes"},
           {R"({"since": "2"})", "since is not a duration"},
           {R"({"since": "0s"})", "since is not a duration"},
           {R"({"all": "yes"})", "all is not true or false"},
           {R"({"id": 7, "limit": 3})", "there is no"},
           {R"([])", "not a JSON object"},
           {R"({"id": 7)", "not a JSON object"},
           {"", "not a JSON object"},
           {"{\"exchange\": \"\xff\"}", "not a JSON object"}}) {
    const auto refusal = refusal_of(posting("/admin/v1/dead/retry", body));
    EXPECT_EQ(refusal.status, 400u) << body;
    EXPECT_EQ(refusal.content_type, "application/problem+json");
    EXPECT_THAT(refusal.body, HasSubstr(detail)) << body;
  }
  for (const auto* query : {"exchnge=x", "exchange=a&exchange=b", "limit=0", "limit=1001", "id=x",
                            "exchange=%00", "exchange=%ff", "exchange=%zz", "after=-1", "x"})
    EXPECT_EQ(
        refusal_of({.method = "GET", .target = std::string("/admin/v1/dead?") + query}).status,
        400u)
        << query;
  EXPECT_EQ(refusal_of({.method = "GET", .target = "/admin/v1/status?x=1"}).status, 400u);
  EXPECT_EQ(refusal_of(posting("/admin/v1/dead/retry?all=true", R"({"id": 7})")).status, 400u);
}

TEST(admin_routes, a_body_that_a_form_could_send_is_not_read) {
  for (const auto* type :
       {"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
        "application/jsonx", "text/plain;application/json"})
    EXPECT_EQ(refusal_of(posting("/admin/v1/dead/retry", R"({"all": true})", type)).status, 415u)
        << type;
}

TEST(admin_routes, a_pause_is_of_an_exchange_or_a_key_or_everything) {
  const auto pausing = [](std::string_view body) {
    return http_request{.method = "PUT",
                        .target = "/admin/v1/pause",
                        .content_type = "application/json",
                        .body = body};
  };
  const auto pause = call_of(pausing(R"({"exchange": "x", "for": "15m", "reason": "why"})"));
  EXPECT_EQ(pause.what, admin_action::pause);
  EXPECT_EQ(pause.scope.exchange, "x");
  EXPECT_EQ(pause.lasting, 15min);
  EXPECT_EQ(pause.reason, "why");
  EXPECT_EQ(call_of(pausing(R"({"ordering_key": "a\tb"})")).scope.ordering_key, "a\tb");
  for (const auto* body : {R"({"reason": "x\nWATCHDOG=trigger"})", R"({"exchange": "\u009b"})"})
    EXPECT_THAT(refusal_of(pausing(body)).body, HasSubstr("has control characters")) << body;
  EXPECT_EQ(
      call_of({.method = "DELETE", .target = "/admin/v1/pause?exchange=a%0Ab"}).scope.exchange,
      "a\nb")
      << "whatever is paused can be resumed";
  const auto resume = call_of({.method = "DELETE", .target = "/admin/v1/pause?ordering_key=k"});
  EXPECT_EQ(resume.what, admin_action::resume);
  EXPECT_EQ(resume.scope.ordering_key, "k");
  EXPECT_FALSE(call_of({.method = "DELETE", .target = "/admin/v1/pause"}).scope.exchange);
  EXPECT_EQ(
      refusal_of({.method = "DELETE", .target = "/admin/v1/pause?ordering_key=k&exchange="}).status,
      400u);
}

TEST(admin_routes, another_method_is_405_and_another_path_404) {
  for (const auto& [method, path, allowed] :
       {std::tuple("POST", "/admin/v1/status", "GET, HEAD"),
        std::tuple("GET", "/admin/v1/dead/retry", "POST"),
        std::tuple("OPTIONS", "/admin/v1/pause", "PUT, DELETE"),
        std::tuple("DELETE", "/admin/v1/dead/7", "GET, HEAD")}) {
    const auto refusal = refusal_of({.method = method, .target = path});
    EXPECT_EQ(refusal.status, 405u);
    EXPECT_EQ(refusal.headers.at(0), (std::pair<std::string, std::string>("Allow", allowed)));
  }
  for (const auto* path : {"/admin", "/admin/v1", "/admin/v1/", "/admin/v2/status", "/metrics", "",
                           "*", "/admin/v1/status/"})
    EXPECT_EQ(refusal_of({.method = "GET", .target = path}).status, 404u) << path;
}

// A path stands with two spaces before it, a method with four.
TEST(admin_routes, are_those_that_the_openapi_file_describes) {
  std::ifstream file(OUTBOXD_SOURCE_DIR "/docs/reference/admin-api.yaml");
  ASSERT_TRUE(file);
  std::set<std::string> described, served;
  std::string path;
  std::smatch found;
  for (std::string line; std::getline(file, line);) {
    if (std::regex_match(line, found, std::regex("  (/[^:]*):"))) path = found[1];
    if (std::regex_match(line, found,
                         std::regex("    (get|put|post|delete|patch|head|options):"))) {
      std::string method = found[1];
      for (char& c : method) c = static_cast<char>(c - 'a' + 'A');
      described.insert(method + " " + path);
    }
  }
  for (const auto& route : admin_routes())
    served.insert(std::string(route.method) + " " + std::string(route.path));
  EXPECT_EQ(described, served);
}

}  // namespace
}  // namespace outboxd::service
