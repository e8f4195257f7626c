#include <algorithm>
#include <charconv>

#include "relay/amqp/codec.hpp"
#include "relay/amqp/field_table.hpp"
#include "relay/amqp/frame.hpp"

namespace outboxd::relay::amqp {
namespace {

constexpr std::int64_t longest_expiration_ms = 315'360'000'000;  // RabbitMQ takes ten years at most
constexpr std::size_t content_header_fixed = 2 + 2 + 8;          // class, weight, body size

rejection invalid(std::string text) {
  return {verdict::invalid, std::move(text)};
}

// The content header of one message. It points into the row.
class content_header {
 public:
  std::optional<rejection> fill(const outbox::message& row);
  std::size_t payload_size() const { return content_header_fixed + size_; }
  void append(std::string& out, channel_id channel, std::size_t body_size);

 private:
  // Sets one short string property; false when it is too long.
  bool set(amqp_bytes_t& field, amqp_flags_t flag, std::string_view name, std::string_view text);
  bool set(amqp_bytes_t& field, amqp_flags_t flag, std::string_view name,
           const std::optional<std::string>& text) {
    return !text || set(field, flag, name, std::string_view(*text));
  }
  bool set_strings(const outbox::message& row);
  std::optional<rejection> set_headers(const outbox::message& row);
  void set_numbers(const outbox::message& row);

  amqp_basic_properties_t values_{};
  std::size_t size_ = 2;  // of the encoded properties, flags included
  field_table headers_;
  char message_id_[36];
  char expiration_[20];
  std::string problem_;
};

bool content_header::set(amqp_bytes_t& field, amqp_flags_t flag, std::string_view name,
                         std::string_view text) {
  if (text.size() > short_string_max) {
    problem_ =
        std::string(name) + " is " + std::to_string(text.size()) + " bytes long, AMQP takes 255";
    return false;
  }
  field = as_bytes(text);
  values_._flags |= flag;
  size_ += 1 + text.size();
  return true;
}

bool content_header::set_strings(const outbox::message& row) {
  const std::string_view content_type = row.content_type ? std::string_view(*row.content_type)
                                        : row.is_binary  ? "application/octet-stream"
                                                         : "application/json";
  boost::uuids::to_chars(row.ref.message_id, message_id_, message_id_ + sizeof message_id_);
  auto& v = values_;
  return set(v.content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, "content_type", content_type) &&
         set(v.content_encoding, AMQP_BASIC_CONTENT_ENCODING_FLAG, "content_encoding",
             row.content_encoding) &&
         set(v.correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG, "correlation_id",
             row.correlation_id) &&
         set(v.reply_to, AMQP_BASIC_REPLY_TO_FLAG, "reply_to", row.reply_to) &&
         set(v.message_id, AMQP_BASIC_MESSAGE_ID_FLAG, "message_id",
             std::string_view(message_id_, sizeof message_id_)) &&
         set(v.type, AMQP_BASIC_TYPE_FLAG, "type", row.type) &&
         set(v.app_id, AMQP_BASIC_APP_ID_FLAG, "app_id", row.app_id);
}

std::optional<rejection> content_header::set_headers(const outbox::message& row) {
  if (row.headers)
    if (auto problem = headers_.add_json(*row.headers)) return invalid(std::move(*problem));
  headers_.add("x-outbox-id", row.ref.id);
  if (row.ordering_key) headers_.add("x-outbox-key", *row.ordering_key);
  values_.headers = headers_.view();
  values_._flags |= AMQP_BASIC_HEADERS_FLAG;
  size_ += headers_.encoded_size();
  return std::nullopt;
}

void content_header::set_numbers(const outbox::message& row) {
  values_.delivery_mode = AMQP_DELIVERY_PERSISTENT;
  values_._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
  size_ += 1;
  if (row.priority) {
    values_.priority = *row.priority;
    values_._flags |= AMQP_BASIC_PRIORITY_FLAG;
    size_ += 1;
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(row.created_at.time_since_epoch());
  values_.timestamp = static_cast<std::uint64_t>(std::max<std::int64_t>(seconds.count(), 0));
  values_._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
  size_ += 8;
}

std::optional<rejection> content_header::fill(const outbox::message& row) {
  if (row.expiration_ms) {
    if (*row.expiration_ms < 0 || *row.expiration_ms > longest_expiration_ms)
      return invalid("expiration_ms is " + std::to_string(*row.expiration_ms) +
                     ", RabbitMQ takes 0 to 315360000000");
    const auto end =
        std::to_chars(expiration_, expiration_ + sizeof expiration_, *row.expiration_ms).ptr;
    set(values_.expiration, AMQP_BASIC_EXPIRATION_FLAG, "expiration",
        std::string_view(expiration_, static_cast<std::size_t>(end - expiration_)));
  }
  if (!set_strings(row)) return invalid(std::move(problem_));
  set_numbers(row);
  return set_headers(row);
}

void content_header::append(std::string& out, channel_id channel, std::size_t body_size) {
  const std::size_t start = out.size();
  out.resize(start + frame_overhead + payload_size());
  char* frame = out.data() + start;
  write_frame_header(frame, AMQP_FRAME_HEADER, channel, payload_size());
  char* payload = frame + frame_header_size;
  write_u16(payload, AMQP_BASIC_CLASS);
  write_u16(payload + 2, 0);
  write_u64(payload + 4, body_size);
  const int length =
      amqp_encode_properties(AMQP_BASIC_CLASS, &values_, {size_, payload + content_header_fixed});
  if (length < 0 || static_cast<std::size_t>(length) != size_) encoder_bug("content header");
  out.back() = frame_end;
}

void append_body(std::string& out, channel_id channel, std::string_view body,
                 std::size_t payload_max) {
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, payload_max);
    char header[frame_header_size];
    write_frame_header(header, AMQP_FRAME_BODY, channel, piece.size());
    out.append(header, sizeof header);
    out.append(piece);
    out += frame_end;
    body.remove_prefix(piece.size());
  }
}

std::optional<rejection> refuse_destination(const outbox::message& row) {
  for (const auto& [what, text] :
       {std::pair<std::string_view, const std::string&>{"exchange", row.exchange},
        {"routing_key", row.routing_key}})
    if (text.size() > short_string_max)
      return invalid(std::string(what) + " is " + std::to_string(text.size()) +
                     " bytes long, AMQP takes 255");
  return std::nullopt;
}

}  // namespace

std::optional<rejection> append_publish(std::string& out, channel_id channel,
                                        const outbox::message& row, std::uint32_t frame_max,
                                        std::size_t max_message_size) {
  if (row.body.size() > max_message_size)
    return rejection{verdict::too_large, "the body is " + std::to_string(row.body.size()) +
                                             " bytes long, the limit is " +
                                             std::to_string(max_message_size)};
  if (auto bad = refuse_destination(row)) return bad;
  content_header header;
  if (auto bad = header.fill(row)) return bad;
  const std::size_t header_frame = frame_overhead + header.payload_size();
  if (header_frame > frame_max)  // the only kind of content frame that cannot be split
    return invalid("headers and properties take " + std::to_string(header_frame) +
                   " bytes, the broker's frame_max is " + std::to_string(frame_max));

  amqp_basic_publish_t publish{};
  publish.exchange = as_bytes(row.exchange);
  publish.routing_key = as_bytes(row.routing_key);
  publish.mandatory = row.mandatory;
  const std::size_t publish_size = 2 + 1 + row.exchange.size() + 1 + row.routing_key.size() + 1;

  const std::size_t payload_max = frame_max - frame_overhead;
  const std::size_t body_frames = (row.body.size() + payload_max - 1) / payload_max;
  out.reserve(out.size() + frame_overhead + 4 + publish_size + header_frame + row.body.size() +
              body_frames * frame_overhead);
  append_method(out, channel, AMQP_BASIC_PUBLISH_METHOD, &publish, publish_size);
  header.append(out, channel, row.body.size());
  append_body(out, channel, row.body, payload_max);
  return std::nullopt;
}

}  // namespace outboxd::relay::amqp
