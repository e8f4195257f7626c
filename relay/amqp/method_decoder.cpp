#include "relay/amqp/method_decoder.hpp"

#include <algorithm>
#include <span>

#include "base/text.hpp"
#include "relay/amqp/frame.hpp"
#include "relay/amqp/wire_table.hpp"

namespace outboxd::relay::amqp {
namespace {

std::span<const amqp_table_entry_t> entries(const amqp_table_t& table) {
  return {table.entries, static_cast<std::size_t>(table.num_entries)};
}

const amqp_field_value_t* find(const amqp_table_t& table, std::string_view name) {
  for (const auto& e : entries(table))
    if (as_view(e.key) == name) return &e.value;
  return nullptr;
}

std::string text_of(const amqp_table_t& table, std::string_view name) {
  const auto* value = find(table, name);
  const bool is_text =
      value && (value->kind == AMQP_FIELD_KIND_UTF8 || value->kind == AMQP_FIELD_KIND_BYTES);
  return is_text ? base::one_line(as_view(value->value.bytes)) : std::string();
}

bool supports(const amqp_table_t& properties, std::string_view capability) {
  const auto* all = find(properties, "capabilities");
  if (!all || all->kind != AMQP_FIELD_KIND_TABLE) return false;
  const auto* value = find(all->value.table, capability);
  return value && value->kind == AMQP_FIELD_KIND_BOOLEAN && value->value.boolean;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (!word.empty()) found.push_back(base::one_line(word));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return found;
}

connection_start to_start(const amqp_connection_start_t& m) {
  connection_start start;
  start.mechanisms = words(as_view(m.mechanisms));
  start.product = text_of(m.server_properties, "product");
  start.version = text_of(m.server_properties, "version");
  start.cluster_name = text_of(m.server_properties, "cluster_name");
  start.supports_confirms = supports(m.server_properties, "publisher_confirms");
  return start;
}

// The library names every method of the protocol, also those that only a client may send.
std::string name_of(amqp_method_number_t id) {
  const char* name = amqp_method_name(id);
  if (name) return name;
  return "method " + std::to_string(id >> 16) + "." + std::to_string(id & 0xFFFF);
}

// nullopt: not a method that a publisher can get.
std::optional<incoming> to_incoming(channel_id channel, amqp_method_number_t id, const void* m) {
  switch (id) {
    case AMQP_CONNECTION_START_METHOD:
      return to_start(*static_cast<const amqp_connection_start_t*>(m));
    case AMQP_CONNECTION_SECURE_METHOD:
      return connection_secure{};
    case AMQP_CONNECTION_TUNE_METHOD: {
      const auto& tune = *static_cast<const amqp_connection_tune_t*>(m);
      return connection_tune{tune.channel_max, tune.frame_max, tune.heartbeat};
    }
    case AMQP_CONNECTION_OPEN_OK_METHOD:
      return connection_open_ok{};
    case AMQP_CONNECTION_CLOSE_METHOD: {
      const auto& close = *static_cast<const amqp_connection_close_t*>(m);
      return connection_close{close.reply_code, base::one_line(as_view(close.reply_text))};
    }
    case AMQP_CONNECTION_CLOSE_OK_METHOD:
      return connection_close_ok{};
    case AMQP_CONNECTION_BLOCKED_METHOD: {
      const auto& blocked = *static_cast<const amqp_connection_blocked_t*>(m);
      return connection_blocked{base::one_line(as_view(blocked.reason))};
    }
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
      return connection_unblocked{};
    case AMQP_CHANNEL_OPEN_OK_METHOD:
      return channel_open_ok{channel};
    case AMQP_CHANNEL_CLOSE_METHOD: {
      const auto& close = *static_cast<const amqp_channel_close_t*>(m);
      return channel_close{channel, close.reply_code, base::one_line(as_view(close.reply_text))};
    }
    case AMQP_CHANNEL_CLOSE_OK_METHOD:
      return channel_close_ok{channel};
    case AMQP_CHANNEL_FLOW_METHOD:
      return channel_flow{channel, static_cast<const amqp_channel_flow_t*>(m)->active != 0};
    case AMQP_CONFIRM_SELECT_OK_METHOD:
      return confirm_select_ok{channel};
    case AMQP_EXCHANGE_DECLARE_OK_METHOD:
      return exchange_declare_ok{channel};
    case AMQP_BASIC_ACK_METHOD: {
      const auto& ack = *static_cast<const amqp_basic_ack_t*>(m);
      return basic_ack{channel, ack.delivery_tag, ack.multiple != 0};
    }
    case AMQP_BASIC_NACK_METHOD: {
      const auto& nack = *static_cast<const amqp_basic_nack_t*>(m);
      return basic_nack{channel, nack.delivery_tag, nack.multiple != 0};
    }
    case AMQP_BASIC_RETURN_METHOD: {
      const auto& r = *static_cast<const amqp_basic_return_t*>(m);
      return basic_return{channel,
                          r.reply_code,
                          base::one_line(as_view(r.reply_text)),
                          std::string(as_view(r.exchange)),
                          std::string(as_view(r.routing_key)),
                          {}};
    }
    default:
      return std::nullopt;
  }
}

// connection.start is the only method we take that carries a table.
bool is_sound(amqp_method_number_t id, std::string_view arguments) {
  std::size_t offset = 2;
  return id != AMQP_CONNECTION_START_METHOD || skip_table(arguments, offset);
}

protocol_error syntax_error(std::string text) {
  return {AMQP_SYNTAX_ERROR, std::move(text)};
}

}  // namespace

decoded<incoming> decode_method(channel_id channel, std::string_view payload, amqp_pool_t& pool) {
  if (payload.size() < 4)
    return protocol_error{AMQP_FRAME_ERROR, "a method frame without a method"};
  const amqp_method_number_t id = read_u32(payload.data());
  const std::string_view arguments = payload.substr(4);

  const bool of_connection = (id >> 16) == AMQP_CONNECTION_CLASS;
  if (of_connection && channel != 0)
    return protocol_error{AMQP_COMMAND_INVALID,
                          name_of(id) + " on channel " + std::to_string(channel)};
  if (!of_connection && channel == 0)
    return protocol_error{AMQP_CHANNEL_ERROR, name_of(id) + " on channel 0"};

  if (!is_sound(id, arguments)) return syntax_error("malformed table in " + name_of(id));
  void* method = nullptr;
  const int status = amqp_decode_method(id, &pool, as_bytes(arguments), &method);
  if (status == AMQP_STATUS_UNKNOWN_METHOD)
    return protocol_error{AMQP_COMMAND_INVALID, "unknown " + name_of(id)};
  if (status < 0) return syntax_error("malformed " + name_of(id));
  auto value = to_incoming(channel, id, method);
  if (!value) return protocol_error{AMQP_COMMAND_INVALID, "unexpected " + name_of(id)};
  return std::move(*value);
}

decoded<content_start> decode_content_header(std::string_view payload, amqp_pool_t& pool) {
  constexpr std::size_t fixed = 2 + 2 + 8;  // class, weight, body size
  if (payload.size() < fixed + 2)
    return protocol_error{AMQP_FRAME_ERROR, "a content header cut short"};
  if (read_u16(payload.data()) != AMQP_BASIC_CLASS)
    return protocol_error{AMQP_FRAME_ERROR, "a content header of another class"};
  const std::string_view properties = payload.substr(fixed);

  const std::uint16_t flags = read_u16(properties.data());
  std::size_t offset = 2;
  const bool sound =
      (flags & 1) == 0 &&  // basic has no second word of flags
      (!(flags & AMQP_BASIC_CONTENT_TYPE_FLAG) || skip_short_string(properties, offset)) &&
      (!(flags & AMQP_BASIC_CONTENT_ENCODING_FLAG) || skip_short_string(properties, offset)) &&
      (!(flags & AMQP_BASIC_HEADERS_FLAG) || skip_table(properties, offset));
  if (!sound) return syntax_error("malformed properties");

  void* found = nullptr;
  if (amqp_decode_properties(AMQP_BASIC_CLASS, &pool, as_bytes(properties), &found) < 0)
    return syntax_error("malformed properties");
  const auto& basic = *static_cast<const amqp_basic_properties_t*>(found);
  content_start start{read_u64(payload.data() + 4), {}};
  if (basic._flags & AMQP_BASIC_MESSAGE_ID_FLAG) start.message_id = as_view(basic.message_id);
  return start;
}

}  // namespace outboxd::relay::amqp
