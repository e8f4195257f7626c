#include <cstdio>
#include <cstdlib>

#include "base/text.hpp"
#include "relay/amqp/codec.hpp"
#include "relay/amqp/frame.hpp"
#include "relay/amqp/rabbitmq_c.hpp"

namespace outboxd::relay::amqp {
namespace {

constexpr std::size_t small = 32;  // room for the fixed-size arguments of any method we send

amqp_table_entry_t text_entry(std::string_view name, std::string_view text) {
  amqp_table_entry_t e{};
  e.key = as_bytes(name);
  e.value.kind = AMQP_FIELD_KIND_UTF8;
  e.value.value.bytes = as_bytes(text);
  return e;
}

amqp_table_entry_t capability(std::string_view name) {
  amqp_table_entry_t e{};
  e.key = as_bytes(name);
  e.value.kind = AMQP_FIELD_KIND_BOOLEAN;
  e.value.value.boolean = true;
  return e;
}

amqp_table_entry_t table_entry(std::string_view name, amqp_table_t table) {
  amqp_table_entry_t e{};
  e.key = as_bytes(name);
  e.value.kind = AMQP_FIELD_KIND_TABLE;
  e.value.value.table = table;
  return e;
}

std::string plain(std::string_view user, std::string_view password) {
  std::string response;
  response.reserve(user.size() + password.size() + 2);
  response += '\0';
  response += user;
  response += '\0';
  response += password;
  return response;
}

std::string amqplain(std::string_view user, std::string_view password) {
  amqp_table_entry_t entries[] = {text_entry("LOGIN", user), text_entry("PASSWORD", password)};
  amqp_table_t table{2, entries};
  std::string response(user.size() + password.size() + 64, '\0');
  std::size_t length = 0;
  if (amqp_encode_table({response.size(), response.data()}, &table, &length) != AMQP_STATUS_OK)
    encoder_bug("AMQPLAIN response");
  response.resize(length);
  return response.substr(4);  // RabbitMQ wants the table without its length
}

}  // namespace

void encoder_bug(const char* what) {
  std::fprintf(stderr, "bug: the AMQP encoder refused what it was given: %s\n", what);
  std::abort();
}

void append_method(std::string& out, channel_id channel, amqp_method_number_t id, void* method,
                   std::size_t room) {
  const std::size_t start = out.size();
  out.resize(start + frame_header_size + 4 + room + 1);
  char* frame = out.data() + start;
  write_u32(frame + frame_header_size, id);
  const int length = amqp_encode_method(id, method, {room, frame + frame_header_size + 4});
  if (length < 0) encoder_bug(amqp_method_name(id));
  const std::size_t payload = 4 + static_cast<std::size_t>(length);
  write_frame_header(frame, AMQP_FRAME_METHOD, channel, payload);
  frame[frame_header_size + payload] = frame_end;
  out.resize(start + frame_overhead + payload);
}

void append_protocol_header(std::string& out) {
  out += std::string_view("AMQP\0\0\x09\x01", 8);
}

void append_start_ok(std::string& out, const client_properties& client, std::string_view mechanism,
                     std::string_view response) {
  // What RabbitMQ asks of a client before it uses an extension on the connection.
  amqp_table_entry_t capabilities[] = {
      capability("publisher_confirms"),         capability("basic.nack"),
      capability("connection.blocked"),         capability("consumer_cancel_notify"),
      capability("exchange_exchange_bindings"), capability("authentication_failure_close")};
  amqp_table_entry_t properties[] = {
      text_entry("product", "outboxd"), text_entry("version", client.version),
      text_entry("platform", "C++"), text_entry("connection_name", client.connection_name),
      table_entry("capabilities", {6, capabilities})};
  amqp_connection_start_ok_t m{};
  m.client_properties = {5, properties};
  m.mechanism = as_bytes(mechanism);
  m.response = as_bytes(response);
  m.locale = as_bytes("en_US");
  append_method(out, 0, AMQP_CONNECTION_START_OK_METHOD, &m,
                512 + client.version.size() + client.connection_name.size() + mechanism.size() +
                    response.size());
}

void append_tune_ok(std::string& out, std::uint16_t channel_max, std::uint32_t frame_max,
                    std::uint16_t heartbeat) {
  amqp_connection_tune_ok_t m{channel_max, frame_max, heartbeat};
  append_method(out, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &m, small);
}

void append_connection_open(std::string& out, std::string_view vhost) {
  amqp_connection_open_t m{};
  m.virtual_host = as_bytes(vhost);
  append_method(out, 0, AMQP_CONNECTION_OPEN_METHOD, &m, small + vhost.size());
}

void append_connection_close(std::string& out, int code, std::string_view text) {
  amqp_connection_close_t m{};
  m.reply_code = static_cast<std::uint16_t>(code);
  m.reply_text = as_bytes(base::cut(text, short_string_max));
  append_method(out, 0, AMQP_CONNECTION_CLOSE_METHOD, &m, small + m.reply_text.len);
}

void append_connection_close_ok(std::string& out) {
  amqp_connection_close_ok_t m{};
  append_method(out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &m, small);
}

void append_channel_open(std::string& out, channel_id channel) {
  amqp_channel_open_t m{};
  append_method(out, channel, AMQP_CHANNEL_OPEN_METHOD, &m, small);
}

void append_channel_close(std::string& out, channel_id channel, int code, std::string_view text) {
  amqp_channel_close_t m{};
  m.reply_code = static_cast<std::uint16_t>(code);
  m.reply_text = as_bytes(base::cut(text, short_string_max));
  append_method(out, channel, AMQP_CHANNEL_CLOSE_METHOD, &m, small + m.reply_text.len);
}

void append_channel_close_ok(std::string& out, channel_id channel) {
  amqp_channel_close_ok_t m{};
  append_method(out, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &m, small);
}

void append_channel_flow_ok(std::string& out, channel_id channel, bool active) {
  amqp_channel_flow_ok_t m{active};
  append_method(out, channel, AMQP_CHANNEL_FLOW_OK_METHOD, &m, small);
}

void append_confirm_select(std::string& out, channel_id channel) {
  amqp_confirm_select_t m{};
  append_method(out, channel, AMQP_CONFIRM_SELECT_METHOD, &m, small);
}

void append_exchange_declare_passive(std::string& out, channel_id channel,
                                     std::string_view exchange) {
  amqp_exchange_declare_t m{};
  m.exchange = as_bytes(exchange);
  m.type = as_bytes("direct");  // a passive declare ignores it, the grammar wants one
  m.passive = true;
  append_method(out, channel, AMQP_EXCHANGE_DECLARE_METHOD, &m, small + exchange.size());
}

void append_queue_declare_temporary(std::string& out, channel_id channel, std::string_view queue) {
  amqp_queue_declare_t m{};
  m.queue = as_bytes(queue);
  m.exclusive = m.auto_delete = m.nowait = true;
  append_method(out, channel, AMQP_QUEUE_DECLARE_METHOD, &m, small + queue.size());
}

void append_exchange_unbind(std::string& out, channel_id channel, std::string_view destination,
                            std::string_view source, std::string_view routing_key) {
  amqp_exchange_unbind_t m{};
  m.destination = as_bytes(destination);
  m.source = as_bytes(source);
  m.routing_key = as_bytes(routing_key);
  m.nowait = true;
  append_method(out, channel, AMQP_EXCHANGE_UNBIND_METHOD, &m,
                small + destination.size() + source.size() + routing_key.size());
}

void append_heartbeat(std::string& out) {
  char frame[frame_overhead];
  write_frame_header(frame, AMQP_FRAME_HEARTBEAT, 0, 0);
  frame[frame_header_size] = frame_end;
  out.append(frame, sizeof frame);
}

std::string sasl_response(std::string_view mechanism, std::string_view user,
                          std::string_view password) {
  if (mechanism == "PLAIN") return plain(user, password);
  if (mechanism == "AMQPLAIN") return amqplain(user, password);
  if (mechanism == "EXTERNAL") return {};  // the client certificate says who it is
  encoder_bug("SASL mechanism");
}

}  // namespace outboxd::relay::amqp
