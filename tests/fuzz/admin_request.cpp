// Requests to the admin listener: whoever may not is not let in, every refusal is JSON, and a
// decision about everything is only ever one that said so.
#include <boost/json/parse.hpp>

#include <set>

#include "service/admin_guard.hpp"
#include "service/admin_routes.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace outboxd;
using namespace outboxd::service;

const std::string token = "0123456789abcdef";

void is_a_problem(const http_reply& reply) {
  fuzz::ensure(std::set{400u, 401u, 403u, 404u, 405u, 415u, 421u}.contains(reply.status),
               "a status we give");
  fuzz::ensure(reply.content_type == "application/problem+json", "errors are problems");
  boost::system::error_code error;
  boost::json::parse(reply.body, error);
  fuzz::ensure(!error, "the JSON can be read", reply.body);
  for (const auto& [name, value] : reply.headers)
    fuzz::ensure((name + value).find_first_of("\r\n") == std::string::npos, "headers are lines");
}

void is_storable(const std::optional<std::string>& text) {
  if (!text) return;
  fuzz::ensure(text->size() <= 1'000, "texts are bounded");
  fuzz::ensure(text->find('\0') == std::string::npos, "no text is cut short on its way");
}

void is_what_was_asked(const admin_call& call, const std::string& body) {
  const auto& f = call.which;
  for (const auto& text :
       {f.exchange, f.routing_key, f.ordering_key, f.type, f.reason, call.scope.exchange,
        call.scope.ordering_key, std::optional(call.reason)})
    is_storable(text);
  fuzz::ensure(!call.scope.exchange || !call.scope.ordering_key, "a pause has one scope");
  fuzz::ensure(call.limit >= 1 && call.limit <= 1'000, "an answer is bounded");
  const bool everything =
      !f.exchange && !f.routing_key && !f.ordering_key && !f.type && !f.reason && !f.since && !f.id;
  const bool decides = call.what == admin_action::retry || call.what == admin_action::discard;
  if (decides && everything)
    fuzz::ensure(boost::json::parse(body).at("all").as_bool(), "everything only when it was said");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  const std::string method = in.line(), target = in.line(), host = in.line(), origin = in.line(),
                    authorization = in.line(), type = in.line(), body = in.rest();
  const http_request request{.method = method,
                             .target = target,
                             .host = host,
                             .origin = origin,
                             .authorization = authorization,
                             .content_type = type,
                             .body = body};
  if (const auto refusal = refuse_stranger(request, token)) {
    is_a_problem(*refusal);
    fuzz::ensure(refusal->body.find(token) == std::string::npos, "no refusal shows the token");
  } else {
    fuzz::ensure(authorization.ends_with(token), "only who knows the token");
  }
  if (const auto refusal = refuse_stranger(request, std::nullopt)) is_a_problem(*refusal);
  const auto asked = to_call(request);
  if (const auto* refusal = std::get_if<http_reply>(&asked))
    is_a_problem(*refusal);
  else
    is_what_was_asked(std::get<admin_call>(asked), body);
  return 0;
}
