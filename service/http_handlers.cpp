#include "service/http_handlers.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.hpp"
#include "service/readiness.hpp"
#include "service/status_json.hpp"
#include "service/status_page.hpp"

namespace outboxd::service {
namespace {

// Answering at all is most of the proof of life: this runs on the thread that does everything else
// (when that hangs, the watchdog ends the process). What is left are the threads of the database.
http_reply livez(const std::vector<outbox::db_call>& calls) {
  std::string stuck;
  for (const auto& call : calls) {
    if (!call.stuck) continue;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(call.lasts).count();
    stuck += "stuck: " + call.lane + " has not come back from " + call.operation + " for " +
             std::to_string(seconds) + " s\n";
  }
  if (stuck.empty()) return {.body = "ok\n"};
  return {.status = 503, .body = stuck};
}

http_reply startupz(const process_view& now) {
  if (now.started) return {.body = "ok\n"};
  return {.status = 503, .body = "starting\n"};
}

std::string brief_text(const std::vector<readiness_check>& checks) {
  if (is_ready(checks)) return "ok\n";
  std::string out;
  for (const auto& check : checks) {
    if (!check.ok)
      out.append(out.empty() ? "not ready: " : "; ")
          .append(check.name)
          .append(": ")
          .append(base::one_line(check.detail));
  }
  return out + "\n";
}

std::string json_text(const std::vector<readiness_check>& checks) {
  return boost::json::serialize(
             boost::json::object{{"ready", is_ready(checks)}, {"checks", as_json(checks)}}) +
         "\n";
}

bool has_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto parameter = query.substr(0, end);
    if (parameter.substr(0, parameter.find('=')) == name) return true;
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return false;
}

http_reply readyz(const process_view& now, std::string_view query, std::string_view accept) {
  const auto checks = readiness(now);
  http_reply reply{.status = is_ready(checks) ? 200u : 503u};
  if (accept.find("application/json") != std::string_view::npos) {
    reply.content_type = "application/json";
    reply.body = json_text(checks);
  } else {
    reply.body = has_parameter(query, "verbose") ? in_lines(checks) : brief_text(checks);
  }
  return reply;
}

}  // namespace

http_reply answer(const http_request& request, const http_source& source) {
  if (request.method != "GET" && request.method != "HEAD") {
    return {.status = 405, .body = "only GET and HEAD\n", .headers = {{"Allow", "GET, HEAD"}}};
  }
  const auto question = request.target.find('?');
  const auto path = request.target.substr(0, question);
  const auto query = question == std::string_view::npos ? "" : request.target.substr(question + 1);
  if (path == "/metrics") {
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = source.metrics(source.view().relay)};
  }
  if (path == "/livez") return livez(source.database_calls());
  if (path == "/readyz") return readyz(source.view(), query, request.accept);
  if (path == "/startupz") return startupz(source.view());
  if (path == "/status.json") return status_reply(source);
  if (path == "/") return status_page(page_role::read_only);
  return {
      .status = 404,
      .body = "not here; try /metrics, /livez, /readyz?verbose, /startupz, /status.json or /\n"};
}

http_handler read_only(http_source source) {
  return [source = std::move(source)](const http_request& request, const http_respond& respond) {
    respond(answer(request, source));
  };
}

http_reply status_reply(const http_source& source) {
  const process_view now = source.view();
  return {.content_type = "application/json",
          .body = status_json(now, parse_metrics(source.metrics(now.relay)))};
}

}  // namespace outboxd::service
