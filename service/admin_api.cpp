#include "service/admin_api.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/json/serialize.hpp>

#include <utility>
#include <vector>

#include "service/admin_guard.hpp"
#include "service/admin_json.hpp"
#include "service/problem.hpp"
#include "service/status_page.hpp"

namespace outboxd::service {

struct admin_api::question {
  question(const boost::asio::any_io_executor& executor, admin_call c, std::string_view from,
           http_respond to)
      : call(std::move(c)), remote(from), respond(std::move(to)), timer(executor) {}

  // The first answer counts.
  void reply(http_reply with) {
    if (respond) std::exchange(respond, nullptr)(std::move(with));
  }

  admin_call call;
  std::string remote;
  http_respond respond;
  boost::asio::steady_timer timer;
  std::shared_ptr<blocking_call> running;
  admin_outcome outcome{.reply = problem(503, "it was cut off before it had begun"),
                        .error = "cut off before it had begun"};
};

admin_api::admin_api(boost::asio::any_io_executor executor, admin_source source,
                     base::logger& audit, base::logger& log, std::chrono::milliseconds limit)
    : executor_(std::move(executor)),
      source_(std::move(source)),
      audit_(audit),
      log_(log),
      limit_(limit),
      calls_(executor_) {}

admin_api::~admin_api() = default;

void admin_api::answer(const http_request& request, http_respond respond) {
  const auto path = request.target.substr(0, request.target.find('?'));
  if (path == "/" && (request.method == "GET" || request.method == "HEAD"))
    return respond(status_page(page_role::admin));
  if (auto refusal = refuse(request)) return respond(std::move(*refusal));
  auto call = to_call(request);
  if (auto* refusal = std::get_if<http_reply>(&call)) return respond(std::move(*refusal));
  auto& asked = std::get<admin_call>(call);
  if (asked.what == admin_action::status) return respond(status_reply(source_.status));
  ask(std::move(asked), request, std::move(respond));
}

std::optional<http_reply> admin_api::refuse(const http_request& request) {
  const auto token = source_.token();
  if (!token) {
    log_.warn("admin.no_token", {{"error", token.error().text}});
    return problem(503, "the token cannot be read; the log says why");
  }
  auto refusal = refuse_stranger(request, *token);
  if (refusal) {
    log_.warn("admin.refused", {{"remote", request.remote},
                                {"method", request.method},
                                {"path", request.target.substr(0, request.target.find('?'))},
                                {"status", refusal->status}});
  }
  return refusal;
}

void admin_api::ask(admin_call call, const http_request& request, http_respond respond) {
  const auto q =
      std::make_shared<question>(executor_, std::move(call), request.remote, std::move(respond));
  q->running = calls_.submit(
      [q, database = source_.database](blocking_call& waits) {
        q->outcome = carry_out(q->call, *database, waits);
      },
      [this, q] { finished(q); });
  if (!q->running)
    return q->reply(problem(503, "too much is being asked already, or it is shutting down"));
  questions_.insert(q);
  q->timer.expires_after(limit_);
  q->timer.async_wait([this, q](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    give_up(*q, problem(504, "no answer from the database in time; it may be done all the same"));
  });
}

void admin_api::give_up(question& q, http_reply reply) {
  q.running->abandon();
  q.reply(std::move(reply));
}

void admin_api::finished(const std::shared_ptr<question>& q) {
  q->timer.cancel();
  questions_.erase(q);
  if (is_audited(q->call.what)) write_down(*q);
  q->reply(std::move(q->outcome.reply));
}

// A statement that was cut off on our side may go on at the server.
std::string_view admin_api::result_of(const question& q) {
  if (q.outcome.error.empty()) return "done";
  return q.running->abandoned() ? "unknown" : "failed";
}

void admin_api::write_down(const question& q) {
  const auto& call = q.call;
  const bool pausing = call.what == admin_action::pause || call.what == admin_action::resume;
  const auto filter = pausing ? as_json(call.scope) : as_json(call.which);
  std::vector<base::field> fields{{"action", to_string(call.what)},
                                  {"remote", q.remote},
                                  {"filter", boost::json::serialize(filter)},
                                  {"dry_run", call.dry_run}};
  if (call.lasting) fields.emplace_back("for_s", call.lasting->count());
  if (!call.reason.empty()) fields.emplace_back("reason", call.reason);
  if (q.outcome.rows) fields.emplace_back("rows", *q.outcome.rows);
  fields.emplace_back("result", result_of(q));
  if (!q.outcome.error.empty()) fields.emplace_back("error", q.outcome.error);
  audit_.write(q.outcome.error.empty() ? base::severity::info : base::severity::warn,
               "admin.action", fields);
}

void admin_api::stop() {
  calls_.stop();
  const auto left = questions_;
  for (const auto& q : left)
    q->reply(problem(503, "it is shutting down; what was asked may be done all the same"));
}

}  // namespace outboxd::service
