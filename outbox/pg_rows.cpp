#include "outbox/pg_rows.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <string_view>

#include "outbox/pg_text.hpp"

namespace outboxd::outbox {
namespace {

std::string_view view(const pqxx::field& f) {
  return {f.c_str(), f.size()};
}

std::string text(const pqxx::field& f) {
  return std::string(view(f));
}

std::optional<std::string> optional_text(const pqxx::field& f) {
  if (f.is_null()) return std::nullopt;
  return text(f);
}

template <typename T>
T number(const pqxx::field& f) {
  const std::string_view digits = view(f);
  T value{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    throw std::runtime_error("the database sent \"" + std::string(digits) +
                             "\" where a number was expected");
  }
  return value;
}

template <typename T>
std::optional<T> optional_number(const pqxx::field& f) {
  if (f.is_null()) return std::nullopt;
  return number<T>(f);
}

bool truth(const pqxx::field& f) {
  return view(f) == "t";
}

row_ref ref(const pqxx::field& id, const pqxx::field& message_id) {
  return {number<std::int64_t>(id), parse_uuid(view(message_id))};
}

// payload, payload_bytes: exactly one of them is there.
std::string body(const pqxx::field& as_text, const pqxx::field& as_bytes) {
  return as_bytes.is_null() ? text(as_text) : decode_bytea(view(as_bytes));
}

// The columns of the statement `read`, in its order: those of its first row, then those of a
// message.
enum column : int {
  epoch,
  xmin,
  next_xid,
  next_due_ms,
  below_to,
  now_us,
  part,
  id,
  message_id,
  exchange,
  routing_key,
  ordering_key,
  body_size,
  headers_size,
  inlined,
  is_binary,
  payload,
  payload_bytes,
  headers,
  content_type,
  content_encoding,
  type,
  correlation_id,
  reply_to,
  app_id,
  priority,
  expiration_ms,
  mandatory,
  created_us,
  attempts,
  failing_since_us,
  deferred,
};

std::optional<std::chrono::microseconds> moment(const pqxx::field& f) {
  if (f.is_null()) return std::nullopt;
  return std::chrono::microseconds(number<std::int64_t>(f));
}

message decode_message(const pqxx::row& r, std::chrono::microseconds now) {
  const auto at = [&](column c) { return r[static_cast<pqxx::row::size_type>(c)]; };
  message m;
  m.ref = ref(at(id), at(message_id));
  m.exchange = text(at(exchange));
  m.routing_key = text(at(routing_key));
  m.ordering_key = optional_text(at(ordering_key));
  m.body_size = number<std::size_t>(at(body_size));
  m.headers_size = number<std::size_t>(at(headers_size));
  m.body_loaded = truth(at(inlined));
  m.is_binary = truth(at(is_binary));
  if (m.body_loaded) {
    m.body = body(at(payload), at(payload_bytes));
    m.headers = optional_text(at(headers));
    // The server counted in its own encoding.
    m.body_size = m.body.size();
    m.headers_size = m.headers ? m.headers->size() : 0;
  }
  m.content_type = optional_text(at(content_type));
  m.content_encoding = optional_text(at(content_encoding));
  m.type = optional_text(at(type));
  m.correlation_id = optional_text(at(correlation_id));
  m.reply_to = optional_text(at(reply_to));
  m.app_id = optional_text(at(app_id));
  m.priority = optional_number<std::uint8_t>(at(priority));
  m.expiration_ms = optional_number<std::int64_t>(at(expiration_ms));
  m.mandatory = truth(at(mandatory));
  // now() is when the statement arrived; a row can be a little younger.
  const auto since = [now](std::chrono::microseconds t) {
    return std::max(std::chrono::microseconds(0), now - t);
  };
  const auto created = moment(at(created_us)).value();
  m.created_at = std::chrono::system_clock::time_point(created);
  m.age = since(created);
  m.attempts = number<int>(at(attempts));
  m.failing_for = since(moment(at(failing_since_us)).value_or(now));
  m.deferred = truth(at(deferred));
  return m;
}

}  // namespace

read_answer decode_read(const pqxx::result& rows) {
  const pqxx::row first = rows.at(0);
  read_answer answer;
  answer.epoch = optional_number<std::int64_t>(first[column::epoch]).value_or(0);
  answer.snap.xmin = number<std::uint64_t>(first[column::xmin]);
  answer.snap.next_xid = number<std::uint64_t>(first[column::next_xid]);
  if (const auto due = optional_number<std::int64_t>(first[column::next_due_ms])) {
    answer.next_due_in = std::chrono::milliseconds(std::max<std::int64_t>(0, *due));
  }
  answer.below_to = number<std::int64_t>(first[column::below_to]);
  const auto now = moment(first[column::now_us]).value();
  const std::array parts{&answer.rows, &answer.due, &answer.below, &answer.too_late};
  answer.rows.reserve(rows.size() - 1);  // nearly always the only part
  for (pqxx::result::size_type i = 1; i < rows.size(); ++i) {
    const pqxx::row r = rows[i];
    parts.at(number<std::size_t>(r[column::part]))->push_back(decode_message(r, now));
  }
  return answer;
}

std::vector<loaded_body> decode_bodies(const pqxx::result& rows) {
  std::vector<loaded_body> bodies;
  for (const auto& r : rows) {
    bodies.push_back({ref(r[0], r[1]), body(r[2], r[3]), optional_text(r[4])});
  }
  return bodies;
}

std::vector<failed_row> decode_failed(const pqxx::result& rows) {
  std::vector<failed_row> failed;
  for (const auto& r : rows) {
    failed.push_back({ref(r[0], r[1]), truth(r[2]), text(r[3]), text(r[4]), optional_text(r[5])});
  }
  return failed;
}

std::vector<row_ref> decode_refs(const pqxx::result& rows) {
  std::vector<row_ref> refs;
  for (const auto& r : rows) refs.push_back(ref(r[0], r[1]));
  return refs;
}

backlog decode_backlog(const pqxx::result& rows) {
  const auto r = rows[0];
  backlog b;
  b.pending = number<std::int64_t>(r[0]);
  b.deferred = number<std::int64_t>(r[1]);
  b.dead = number<std::int64_t>(r[2]);
  if (const auto age = optional_number<std::int64_t>(r[3])) {
    b.oldest_due_age = std::chrono::microseconds(std::max<std::int64_t>(0, *age));
  }
  return b;
}

purge_page decode_purge(const pqxx::result& rows) {
  const auto r = rows[0];
  return {number<std::size_t>(r[0]), number<std::size_t>(r[1]), number<std::int64_t>(r[2]),
          number<std::size_t>(r[3])};
}

}  // namespace outboxd::outbox
