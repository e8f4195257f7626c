#include "service/admin_routes.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "service/admin_arguments.hpp"
#include "service/problem.hpp"
#include "service/units.hpp"

namespace outboxd::service {
namespace {

using action = admin_action;

constexpr std::array routes{
    admin_route{"GET", "/admin/v1/status", action::status},
    admin_route{"GET", "/admin/v1/dead", action::list_dead},
    admin_route{"GET", "/admin/v1/dead/{id}", action::show_dead},
    admin_route{"POST", "/admin/v1/dead/retry", action::retry},
    admin_route{"POST", "/admin/v1/dead/discard", action::discard},
    admin_route{"GET", "/admin/v1/pauses", action::list_pauses},
    admin_route{"PUT", "/admin/v1/pause", action::pause},
    admin_route{"DELETE", "/admin/v1/pause", action::resume},
};

constexpr std::int64_t largest_id = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t most_rows = 1'000;      // of one answer
constexpr std::size_t longest_reason = 1'000;  // bytes, of a pause
constexpr std::string_view id_suffix = "{id}";

// The last part of a path, where the route wants an id there.
std::optional<std::int64_t> id_in(std::string_view path, const admin_route& route) {
  const auto prefix = route.path.substr(0, route.path.size() - id_suffix.size());
  if (!route.path.ends_with(id_suffix) || !path.starts_with(prefix)) return std::nullopt;
  const auto id = parse_count(path.substr(prefix.size()));
  if (!id || *id > static_cast<std::uint64_t>(largest_id)) return std::nullopt;
  return static_cast<std::int64_t>(*id);
}

bool leads_to(const admin_route& route, std::string_view path) {
  return route.path == path || id_in(path, route);
}

bool takes(const admin_route& route, std::string_view method) {
  return route.method == method || (method == "HEAD" && route.method == "GET");
}

outbox::dead_row_filter take_filter(arguments& given) {
  outbox::dead_row_filter which;
  which.exchange = given.text("exchange");
  which.routing_key = given.text("routing_key");
  which.ordering_key = given.text("ordering_key");
  which.type = given.text("type");
  which.reason = given.text("reason");
  if (const auto ago = given.duration("since")) which.since = outbox::point_in_time{*ago, ""};
  which.id = given.number("id", 1, largest_id);
  return which;
}

bool is_everything(const outbox::dead_row_filter& f) {
  return !f.exchange && !f.routing_key && !f.ordering_key && !f.type && !f.reason && !f.since &&
         !f.id;
}

outbox::pause_scope take_scope(arguments& given, action what) {
  outbox::pause_scope scope;
  scope.exchange = what == action::pause ? given.line("exchange") : given.text("exchange");
  scope.ordering_key = given.text("ordering_key");
  return scope;
}

// Takes what this route knows; the rest is a mistake. Answers with one that is not of a single
// name.
std::string take_all(admin_call& call, arguments& given) {
  switch (call.what) {
    case action::status:
    case action::show_dead:
    case action::list_pauses:
      break;
    case action::list_dead:
      call.which = take_filter(given);
      call.after = given.number("after", 0, largest_id).value_or(0);
      call.limit = static_cast<std::size_t>(given.number("limit", 1, most_rows).value_or(100));
      break;
    case action::retry:
    case action::discard:
      call.which = take_filter(given);
      call.dry_run = given.flag("dry_run");
      if (given.flag("all") == is_everything(call.which)) break;
      return is_everything(call.which) ? "a filter is wanted, or \"all\": true for every dead row"
                                       : "a filter and \"all\" exclude each other";
    case action::pause:
      call.lasting = given.duration("for");
      call.reason = given.line("reason", longest_reason).value_or("");
      [[fallthrough]];
    case action::resume:
      call.scope = take_scope(given, call.what);
      if (!call.scope.exchange || !call.scope.ordering_key) break;
      return "exchange and ordering_key exclude each other";
  }
  return {};
}

// A form of another site cannot send this type, and no browser sends it elsewhere unasked.
bool is_json(std::string_view content_type) {
  const auto type = content_type.substr(0, content_type.find_first_of("; \t"));
  const std::string_view wanted = "application/json";
  return std::ranges::equal(type, wanted, [](char a, char b) {
    return a == b || (a >= 'A' && a <= 'Z' && a + ('a' - 'A') == b);
  });
}

http_reply wrong_method(std::string_view path) {
  std::string allowed;
  for (const auto& route : routes) {
    if (!leads_to(route, path)) continue;
    allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
    if (route.method == "GET") allowed += ", HEAD";
  }
  auto reply = allowed.empty() ? problem(404, "there is nothing at this path")
                               : problem(405, "this path takes " + allowed);
  if (!allowed.empty()) reply.headers.emplace_back("Allow", allowed);
  return reply;
}

}  // namespace

bool is_audited(admin_action what) {
  return what != action::status && what != action::list_dead && what != action::list_pauses;
}

std::string_view to_string(admin_action what) {
  switch (what) {
    case action::status:
      return "status";
    case action::list_dead:
      return "list";
    case action::show_dead:
      return "show";
    case action::retry:
      return "retry";
    case action::discard:
      return "discard";
    case action::list_pauses:
      return "pauses";
    case action::pause:
      return "pause";
    case action::resume:
      return "resume";
  }
  return "?";
}

std::span<const admin_route> admin_routes() {
  return routes;
}

std::variant<admin_call, http_reply> to_call(const http_request& request) {
  const auto question = std::min(request.target.find('?'), request.target.size());
  const auto path = request.target.substr(0, question);
  const auto query = request.target.substr(std::min(question + 1, request.target.size()));
  const auto route = std::ranges::find_if(
      routes, [&](const admin_route& r) { return leads_to(r, path) && takes(r, request.method); });
  if (route == routes.end()) return wrong_method(path);

  const bool has_body = route->method == "POST" || route->method == "PUT";
  if (has_body && !is_json(request.content_type))
    return problem(415, "the body must be application/json, and be called so");
  if (has_body && !query.empty()) return problem(400, "no query here: say it in the body");
  auto given = has_body ? arguments::of_body(request.body) : arguments::of_query(query);
  admin_call call;
  call.what = route->what;
  const std::string mistake = take_all(call, given);
  if (const auto first = given.mistake(); !first.empty()) return problem(400, first);
  if (!mistake.empty()) return problem(400, mistake);
  if (route->what == action::show_dead) call.which.id = id_in(path, *route);
  return call;
}

}  // namespace outboxd::service
