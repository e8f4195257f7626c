// AMQP 0-9-1 on the byte level: what we send becomes bytes appended to a buffer, what arrives
// becomes one of the values below. Pure: no socket, no clock. rabbitmq-c does the encoding and
// decoding of methods, properties and tables; this wrapper checks every frame before the library
// sees it and refuses locally what would make the broker close the channel or the connection.
// Specification: AMQP 0-9-1 with RabbitMQ's extensions and errata.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "outbox/message.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay::amqp {

using channel_id = std::uint16_t;
using delivery_tag = std::uint64_t;

// ---- what arrives

struct connection_start {
  std::vector<std::string> mechanisms;
  std::string product, version, cluster_name;
  bool supports_confirms = false;
};
struct connection_secure {};
struct connection_tune {
  std::uint16_t channel_max;
  std::uint32_t frame_max;
  std::uint16_t heartbeat;
};
struct connection_open_ok {};
struct connection_close {
  int code;
  std::string text;
};
struct connection_close_ok {};
struct connection_blocked {
  std::string reason;
};
struct connection_unblocked {};
struct channel_open_ok {
  channel_id channel;
};
struct channel_close {
  channel_id channel;
  int code;
  std::string text;
};
struct channel_close_ok {
  channel_id channel;
};
struct channel_flow {
  channel_id channel;
  bool active;
};
struct confirm_select_ok {
  channel_id channel;
};
struct exchange_declare_ok {
  channel_id channel;
};
struct basic_ack {
  channel_id channel;
  delivery_tag tag;
  bool multiple;
};
struct basic_nack {
  channel_id channel;
  delivery_tag tag;
  bool multiple;
};
// Delivered once its content header and body have been read (and thrown away). message_id is the
// echoed property: the return carries no delivery tag. Like every `text`, `reason` and server
// property, its text is made printable UTF-8; exchange, routing key and message_id are as the
// broker sent them.
struct basic_return {
  channel_id channel;
  int code;
  std::string text, exchange, routing_key, message_id;
};
struct heartbeat {};

using incoming =
    std::variant<connection_start, connection_secure, connection_tune, connection_open_ok,
                 connection_close, connection_close_ok, connection_blocked, connection_unblocked,
                 channel_open_ok, channel_close, channel_close_ok, channel_flow, confirm_select_ok,
                 exchange_declare_ok, basic_ack, basic_nack, basic_return, heartbeat>;

// A byte stream that is not AMQP 0-9-1, or uses a channel we did not open, or a method a publisher
// never gets. The connection cannot be used any more.
struct protocol_error {
  int code;  // the AMQP reply code to close with: 501 frame error, 503 command invalid, 504 channel
             // error…
  std::string text;
};

class decoder {
 public:
  decoder();
  ~decoder();
  decoder(decoder&&) noexcept;
  decoder& operator=(decoder&&) noexcept;

  // After tune: frames larger than this (at least 4096) are a protocol error. Before: 131,072.
  void set_frame_max(std::uint32_t frame_max);
  // Frames on a channel that is not open are a protocol error (channel 0 is always open).
  void open_channel(channel_id channel);
  void close_channel(channel_id channel);

  // Consumes all of `data`, in pieces of any size, and calls sink for every complete value. Memory
  // held is bounded by one frame. After an error the decoder must not be used again.
  std::optional<protocol_error> feed(std::span<const char> data,
                                     const std::function<void(incoming&&)>& sink);

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

// ---- what is sent: each call appends complete frames to `out`
//
// Mechanism, vhost and exchanges must not be over short_string_max: the caller has checked them,
// and a longer one aborts. Texts of a close are cut. append_publish checks its row itself.

inline constexpr std::size_t short_string_max = 255;  // bytes

struct client_properties {
  std::string connection_name, version;
};

void append_protocol_header(std::string& out);
void append_start_ok(std::string& out, const client_properties& client, std::string_view mechanism,
                     std::string_view response);
void append_tune_ok(std::string& out, std::uint16_t channel_max, std::uint32_t frame_max,
                    std::uint16_t heartbeat);
void append_connection_open(std::string& out, std::string_view vhost);
void append_connection_close(std::string& out, int code, std::string_view text);
void append_connection_close_ok(std::string& out);
void append_channel_open(std::string& out, channel_id channel);
void append_channel_close(std::string& out, channel_id channel, int code, std::string_view text);
void append_channel_close_ok(std::string& out, channel_id channel);
void append_channel_flow_ok(std::string& out, channel_id channel, bool active);
void append_confirm_select(std::string& out, channel_id channel);
void append_exchange_declare_passive(std::string& out, channel_id channel,
                                     std::string_view exchange);
// A queue that is gone with the connection, exclusive to it. Nothing answers unless it is refused,
// which closes the channel. Not for the relay, which declares nothing: for `outboxd check`.
void append_queue_declare_temporary(std::string& out, channel_id channel, std::string_view queue);
// A binding between two exchanges goes; one that is not there is nobody's loss. Nothing answers
// unless it is refused, which closes the channel. For `outboxd check` too.
void append_exchange_unbind(std::string& out, channel_id channel, std::string_view destination,
                            std::string_view source, std::string_view routing_key);
void append_heartbeat(std::string& out);

// The SASL response for a mechanism: PLAIN (RFC 4616), AMQPLAIN (an AMQP table), EXTERNAL (empty).
std::string sasl_response(std::string_view mechanism, std::string_view user,
                          std::string_view password);

struct rejection {
  verdict what;  // too_large or invalid
  std::string text;
};

// basic.publish, content header and body frames for one row, persistent, with every property of the
// contract. On rejection nothing has been appended: the row would have killed the channel or
// connection. frame_max is what was negotiated, at least 4096.
std::optional<rejection> append_publish(std::string& out, channel_id channel,
                                        const outbox::message& row, std::uint32_t frame_max,
                                        std::size_t max_message_size);

}  // namespace outboxd::relay::amqp
