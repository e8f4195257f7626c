#include "outbox/pg_rows.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "outbox/pg_text.hpp"

namespace outboxd::outbox {
namespace {

// A field as it came; points into the result. Only of an empty one libpq is asked whether it is
// null: there are many fields, and each question has its price.
struct column_value {
  column_value(const pqxx::field& f) {
    const char* bytes = f.c_str();
    if (*bytes == '\0') {
      is_null = f.is_null();
    } else {
      text = {bytes, f.size()};
    }
  }

  std::string_view text;
  bool is_null = false;
};

std::string text(const column_value& f) {
  return std::string(f.text);
}

std::optional<std::string> optional_text(const column_value& f) {
  if (f.is_null) return std::nullopt;
  return text(f);
}

template <typename T>
T number(const column_value& f) {
  const std::string_view digits = f.text;
  T result{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    throw std::runtime_error("the database sent \"" + std::string(digits) +
                             "\" where a number was expected");
  }
  return result;
}

template <typename T>
std::optional<T> optional_number(const column_value& f) {
  if (f.is_null) return std::nullopt;
  return number<T>(f);
}

bool truth(const column_value& f) {
  return f.text == "t";
}

row_ref ref(const column_value& id, const column_value& message_id) {
  return {number<std::int64_t>(id), parse_uuid(message_id.text)};
}

// payload, payload_bytes: exactly one of them is there.
std::string body(const column_value& as_text, const column_value& as_bytes) {
  return as_bytes.is_null ? text(as_text) : decode_bytea(as_bytes.text);
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
  sent_again_us,
};

// The fields of one row. Each field that libpqxx makes shares the result it belongs to, which costs
// more than reading it: so one is made for the row, and moved.
class fields {
 public:
  explicit fields(const pqxx::row& r) : at_(r.begin()) {}

  column_value operator[](column c) {
    at_ += c - static_cast<pqxx::row::difference_type>(at_->num());
    return *at_.operator->();
  }

 private:
  pqxx::row::const_iterator at_;
};

std::optional<std::chrono::microseconds> moment(const column_value& f) {
  if (f.is_null) return std::nullopt;
  return std::chrono::microseconds(number<std::int64_t>(f));
}

void decode_message(fields& row, std::chrono::microseconds now, message& m) {
  m.ref = ref(row[id], row[message_id]);
  m.exchange = text(row[exchange]);
  m.routing_key = text(row[routing_key]);
  m.ordering_key = optional_text(row[ordering_key]);
  m.body_size = number<std::size_t>(row[body_size]);
  m.headers_size = number<std::size_t>(row[headers_size]);
  m.body_loaded = truth(row[inlined]);
  m.is_binary = truth(row[is_binary]);
  if (m.body_loaded) {
    m.body = body(row[payload], row[payload_bytes]);
    m.headers = optional_text(row[headers]);
    // The server counted in its own encoding.
    m.body_size = m.body.size();
    m.headers_size = m.headers ? m.headers->size() : 0;
  }
  m.content_type = optional_text(row[content_type]);
  m.content_encoding = optional_text(row[content_encoding]);
  m.type = optional_text(row[type]);
  m.correlation_id = optional_text(row[correlation_id]);
  m.reply_to = optional_text(row[reply_to]);
  m.app_id = optional_text(row[app_id]);
  m.priority = optional_number<std::uint8_t>(row[priority]);
  m.expiration_ms = optional_number<std::int64_t>(row[expiration_ms]);
  m.mandatory = truth(row[mandatory]);
  // now() is when the statement arrived; a row can be a little younger.
  const auto since = [now](std::chrono::microseconds t) {
    return std::max(std::chrono::microseconds(0), now - t);
  };
  const auto created = moment(row[created_us]).value();
  m.created_at = std::chrono::system_clock::time_point(created);
  m.attempts = number<int>(row[attempts]);
  m.failing_for = since(moment(row[failing_since_us]).value_or(now));
  m.deferred = truth(row[deferred]);
  const auto again = moment(row[sent_again_us]);
  m.sent_before = again.has_value();
  m.age = since(again.value_or(created));
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
  for (auto r = std::next(rows.begin()); r != rows.end(); ++r) {
    fields f(*r.operator->());
    auto& part = *parts.at(number<std::size_t>(f[column::part]));
    decode_message(f, now, part.emplace_back());
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

std::vector<pause_in_force> decode_pauses(const pqxx::result& rows) {
  std::vector<pause_in_force> pauses;
  for (const auto& r : rows) {
    pause_in_force p{.scope = {optional_text(r[0]), optional_text(r[1])},
                     .reason = text(r[2]),
                     .by = text(r[3]),
                     .age = std::chrono::milliseconds(number<std::int64_t>(r[4])),
                     .ends_in = std::nullopt};
    if (const auto left = optional_number<std::int64_t>(r[5]))
      p.ends_in = std::chrono::milliseconds(*left);
    pauses.push_back(std::move(p));
  }
  return pauses;
}

std::vector<failed_row> decode_failed(const pqxx::result& rows) {
  std::vector<failed_row> failed;
  for (const auto& r : rows) {
    failed.push_back({ref(r[0], r[1]), truth(r[2]), text(r[3]), text(r[4]), optional_text(r[5])});
  }
  return failed;
}

std::uint64_t decode_transaction(const pqxx::result& rows) {
  return number<std::uint64_t>(rows[0][0]);
}

std::int64_t decode_id(const pqxx::result& rows) {
  return number<std::int64_t>(rows[0][0]);
}

std::vector<row_ref> decode_refs(const pqxx::result& rows) {
  std::vector<row_ref> refs;
  for (const auto& r : rows) refs.push_back(ref(r[0], r[1]));
  return refs;
}

// "nacked=3,too_large=14"
std::map<std::string, std::int64_t> decode_reasons(std::string_view text) {
  std::map<std::string, std::int64_t> all;
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    const auto one = text.substr(0, end);
    const auto equals = one.find('=');
    all[std::string(one.substr(0, equals))] = std::stoll(std::string(one.substr(equals + 1)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return all;
}

std::vector<std::int64_t> decode_ids(const pqxx::result& rows) {
  std::vector<std::int64_t> ids;
  for (const auto& r : rows) ids.push_back(number<std::int64_t>(r[0]));
  return ids;
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
  if (!r[4].is_null()) b.dead_reasons = decode_reasons(r[4].c_str());
  return b;
}

purge_page decode_purge(const pqxx::result& rows) {
  const auto r = rows[0];
  return {number<std::size_t>(r[0]), number<std::size_t>(r[1]), number<std::int64_t>(r[2]),
          optional_number<std::int64_t>(r[3]), number<std::size_t>(r[4])};
}

}  // namespace outboxd::outbox
