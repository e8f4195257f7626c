// Rows into basic.publish: refused with nothing written, or read back, by a reader that shares no
// code with the writer, as what the row said.
#include <boost/json/parse.hpp>

#include <cmath>

#include "relay/amqp/codec.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/fuzz/read_publish.hpp"

namespace {

using namespace outboxd;
using fuzz::ensure;
namespace wire = tests::wire;
namespace json = boost::json;

std::optional<std::string> maybe(bool given, std::string text) {
  return given ? std::optional(std::move(text)) : std::nullopt;
}

// Lines for what is text; the seeds can be read.
outbox::message a_row(fuzz::input& in) {
  const std::uint16_t given = in.u16();
  outbox::message row;
  row.exchange = in.line();
  row.routing_key = in.line();
  row.ordering_key = maybe(given & 1, in.line());
  row.content_type = maybe(given & 2, in.line());
  row.content_encoding = maybe(given & 4, in.line());
  row.type = maybe(given & 8, in.line());
  row.correlation_id = maybe(given & 16, in.line());
  row.reply_to = maybe(given & 32, in.line());
  row.app_id = maybe(given & 64, in.line());
  if (given & 128) row.priority = in.u8();
  if (given & 256) row.expiration_ms = static_cast<std::int64_t>(in.u64());
  row.mandatory = given & 512;
  row.is_binary = given & 1024;
  row.ref.id = static_cast<std::int64_t>(in.u64());
  row.body = in.line();
  for (int i = given >> 14; i > 0; --i) row.body += row.body;  // over several frames, perhaps
  row.headers = maybe(given & 2048, in.rest());
  row.body_loaded = true;
  return row;
}

bool same(const json::value& expected, const wire::value& found);

bool same_fields(const json::object& expected, const wire::table& found) {
  for (const auto& [name, value] : expected) {
    const auto it = found.find(std::string(name.data(), name.size()));
    if (it == found.end() || !same(value, it->second)) return false;
  }
  return true;
}

bool same_items(const json::array& expected, const wire::array& found) {
  if (expected.size() != found.size()) return false;
  for (std::size_t i = 0; i < found.size(); ++i)
    if (!same(expected[i], found[i])) return false;
  return true;
}

// Boost.JSON rounds the last digits of a double, up to infinity, and takes 0e400 for no number; our
// encoder does none of it.
bool same_double(double expected, double found) {
  return std::isfinite(found) && (!std::isfinite(expected) ||
                                  std::abs(found - expected) <= 1e-9 * std::abs(found) + 1e-300);
}

bool same(const json::value& expected, const wire::value& found) {
  switch (expected.kind()) {
    case json::kind::null:
      return found.tag == 'V';
    case json::kind::bool_:
      return found.tag == 't' && found.boolean() == expected.get_bool();
    case json::kind::int64:
      return found.tag == 'l' && found.integer() == expected.get_int64();
    case json::kind::uint64:
      return false;
    case json::kind::double_:
      return found.tag == 'd' && same_double(expected.get_double(), found.real());
    case json::kind::string:
      return found.tag == 'S' && found.text() == std::string_view(expected.get_string());
    case json::kind::array:
      return found.tag == 'A' && same_items(expected.get_array(), found.items());
    case json::kind::object:
      return found.tag == 'F' && found.fields().size() == expected.get_object().size() &&
             same_fields(expected.get_object(), found.fields());
  }
  return false;
}

void says_the_same(const outbox::message& row, const fuzz::published& p) {
  ensure(p.exchange == row.exchange && p.routing_key == row.routing_key, "the destination");
  ensure(p.mandatory == row.mandatory && p.body == row.body, "the body");
  const char* fallback = row.is_binary ? "application/octet-stream" : "application/json";
  ensure(p.content_type == row.content_type.value_or(fallback), "the content type");
  ensure(p.content_encoding == row.content_encoding && p.type == row.type && p.app_id == row.app_id,
         "properties");
  ensure(p.correlation_id == row.correlation_id && p.reply_to == row.reply_to, "properties");
  ensure(p.priority == row.priority && p.delivery_mode == 2 && !p.has_user_id, "properties");
  ensure(p.expiration ==
             (row.expiration_ms ? std::optional(std::to_string(*row.expiration_ms)) : std::nullopt),
         "the expiration");
  ensure(p.message_id == to_string(row.ref.message_id), "the message id");

  ensure(p.headers.at("x-outbox-id").integer() == row.ref.id, "the row's id");
  std::size_t ours = 1;
  if (row.ordering_key) {
    ensure(p.headers.at("x-outbox-key").text() == *row.ordering_key, "the ordering key");
    ++ours;
  }
  if (!row.headers) return ensure(p.headers.size() == ours, "no other headers");
  boost::system::error_code error;
  const json::value expected = json::parse(*row.headers, error, {}, {.max_depth = 64});
  ensure(!error && expected.is_object(), "headers that were accepted are a JSON object");
  ensure(p.headers.size() == ours + expected.get_object().size(), "as many headers", *row.headers);
  ensure(same_fields(expected.get_object(), p.headers), "the same headers", *row.headers);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  const std::uint32_t frame_max = 4096 + in.u8() * 512u;
  const std::size_t largest = std::size_t{64} * in.u8();
  const outbox::message row = a_row(in);

  const std::string before = "before";
  std::string out = before;
  if (const auto refused = relay::amqp::append_publish(out, 7, row, frame_max, largest)) {
    ensure(out == before, "nothing of a refused row is written");
    ensure(!refused->text.empty(), "a refusal says why");
    ensure(refused->what == relay::verdict::invalid ||
               (refused->what == relay::verdict::too_large && row.body.size() > largest),
           "a refusal is of the kinds we find");
    return 0;
  }
  ensure(row.body.size() <= largest, "nothing too large is sent");
  ensure(out.starts_with(before), "what was there stays there");
  try {
    says_the_same(row, fuzz::read_publish(std::string_view(out).substr(before.size()), frame_max));
  } catch (const wire::named_twice&) {
    // jsonb keeps the last of two headers of one name, so that the encoder never gets both.
  } catch (const std::exception& e) {
    ensure(false, "what was written can be read", e.what());
  }
  return 0;
}
