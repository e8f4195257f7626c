// Requests to the read-only server, and strangers' texts in what it answers: a broker's reasons and
// a server's complaints must not become markup or break the JSON.
#include <boost/json/parse.hpp>

#include <set>

#include "service/http_handlers.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace outboxd;
using namespace outboxd::service;

constexpr std::string_view marker = "<i9";

process_view a_view(fuzz::input& in) {
  const std::uint8_t bits = in.u8();
  process_view v;
  v.started = bits & 1;
  v.relay.lead = bits & 2 ? outbox::lead_state::leading : outbox::lead_state::standby;
  v.relay.store_ok = bits & 4;
  const auto stranger = [&] { return std::string(marker) + in.line(); };
  v.instance = stranger();
  v.relay.lead_detail = stranger();
  v.relay.store_detail = stranger();
  v.relay.lanes = {{true, (bits & 8) != 0, stranger()}, {(bits & 16) != 0, false, stranger()}};
  v.relay.unconfirmed = in.u16();
  if (bits & 32) v.relay.oldest_pending_age = std::chrono::microseconds(in.u64() >> 8);
  return v;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  const process_view view = a_view(in);
  const std::string method = in.line(), target = in.line(), accept = in.rest();
  const http_source source{[&] { return process_view(view); },
                           [](const relay::status&) { return "outbox_leader 1\n"; }};

  const http_reply reply = answer({method, target, accept}, source);
  fuzz::ensure(std::set{200u, 404u, 405u, 503u}.contains(reply.status), "a status we give");
  fuzz::ensure(!reply.body.empty(), "an answer says something");
  for (const auto& [name, value] : reply.headers)
    fuzz::ensure((name + value).find_first_of("\r\n") == std::string::npos, "headers are lines");
  if (reply.content_type.starts_with("text/html"))
    fuzz::ensure(reply.body.find(marker) == std::string::npos, "a text is no markup", reply.body);
  if (reply.content_type == "application/json") {
    boost::system::error_code error;
    boost::json::parse(reply.body, error);
    fuzz::ensure(!error, "the JSON can be read", reply.body);
  }
  return 0;
}
