// A consumer over the plain rabbitmq-c client: one connection, one channel, one durable queue with
// its dead-letter queue. Used by one thread. Every failure is an amqp_error and ends the object:
// make a new one. Destroying it returns whatever was delivered and not acked to the queue.
#pragma once

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else  // before 0.12
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace user_card {

class amqp_error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct delivery {
  std::uint64_t tag = 0;
  std::string message_id;
  std::string type;  // user.created, …
  std::string key;   // what the sender ordered it by: here the user's id
  std::string body;
};

class amqp_consumer {
 public:
  amqp_consumer(std::string url, const std::string& queue, std::uint16_t prefetch,
                const std::string& connection_name) {
    connect(std::move(url), connection_name);
    declare(queue);
    check("basic.qos", amqp_basic_qos(connection_.get(), channel, 0, prefetch, 0) != nullptr);
    check("basic.consume",
          amqp_basic_consume(connection_.get(), channel, bytes(queue), amqp_empty_bytes, 0,
                             /*no_ack=*/0, 0, amqp_empty_table) != nullptr);
  }

  ~amqp_consumer() { amqp_connection_close(connection_.get(), AMQP_REPLY_SUCCESS); }
  amqp_consumer(const amqp_consumer&) = delete;
  amqp_consumer& operator=(const amqp_consumer&) = delete;

  // The next message, or nothing when none came within the wait. Heartbeats are answered in here.
  std::optional<delivery> next(std::chrono::milliseconds wait) {
    amqp_maybe_release_buffers(connection_.get());
    timeval limit = to_timeval(wait);
    amqp_envelope_t envelope;
    const auto reply = amqp_consume_message(connection_.get(), &envelope, &limit, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
      if (reply.library_error == AMQP_STATUS_TIMEOUT) return std::nullopt;
      // Not a delivery: the broker cancelled the consumer or closed the channel.
      if (reply.library_error == AMQP_STATUS_UNEXPECTED_STATE)
        throw amqp_error("the broker ended the consumer");
    }
    check("basic.deliver", reply);
    auto message = copy(envelope);
    amqp_destroy_envelope(&envelope);
    return message;
  }

  void ack(const delivery& message) {
    check("basic.ack", amqp_basic_ack(connection_.get(), channel, message.tag, 0));
  }

  // Refuses a message for what it is: the broker moves it to the dead-letter queue.
  void reject(const delivery& message) {
    check("basic.reject", amqp_basic_reject(connection_.get(), channel, message.tag, 0));
  }

 private:
  static constexpr amqp_channel_t channel = 1;
  static constexpr int heartbeat_seconds = 15;

  struct destroy_connection {
    void operator()(amqp_connection_state_t connection) const {
      amqp_destroy_connection(connection);
    }
  };

  void connect(std::string url, const std::string& connection_name) {
    amqp_connection_info broker;
    if (amqp_parse_url(url.data(), &broker) != AMQP_STATUS_OK || broker.ssl)
      throw amqp_error("AMQP_URL is not an amqp:// address");
    const std::string vhost = *broker.vhost == '\0' ? "/" : broker.vhost;
    auto* socket = amqp_tcp_socket_new(connection_.get());
    if (socket == nullptr) throw std::bad_alloc();
    timeval limit = to_timeval(std::chrono::seconds(5));
    check("connect", amqp_socket_open_noblock(socket, broker.host, broker.port, &limit));
    check("set_rpc_timeout", amqp_set_rpc_timeout(connection_.get(), &limit));

    amqp_table_entry_t name = text_entry("connection_name", connection_name);
    const amqp_table_t properties{1, &name};
    check("login",
          amqp_login_with_properties(connection_.get(), vhost.c_str(), 0, AMQP_DEFAULT_FRAME_SIZE,
                                     heartbeat_seconds, &properties, AMQP_SASL_METHOD_PLAIN,
                                     broker.user, broker.password));
    check("channel.open", amqp_channel_open(connection_.get(), channel) != nullptr);
  }

  // The queue, and where its rejected messages go: exchange "dead_letters", queue "<queue>.dead".
  void declare(const std::string& queue) {
    const std::string exchange = "dead_letters";
    const std::string dead = queue + ".dead";
    check("exchange.declare",
          amqp_exchange_declare(connection_.get(), channel, bytes(exchange), bytes("direct"), 0,
                                /*durable=*/1, 0, 0, amqp_empty_table) != nullptr);
    declare_durable(dead, amqp_empty_table);
    check("queue.bind", amqp_queue_bind(connection_.get(), channel, bytes(dead), bytes(exchange),
                                        bytes(queue), amqp_empty_table) != nullptr);
    amqp_table_entry_t dead_letter = text_entry("x-dead-letter-exchange", exchange);
    declare_durable(queue, amqp_table_t{1, &dead_letter});
  }

  void declare_durable(const std::string& queue, amqp_table_t arguments) {
    check("queue.declare", amqp_queue_declare(connection_.get(), channel, bytes(queue), 0,
                                              /*durable=*/1, 0, 0, arguments) != nullptr);
  }

  // A synchronous call of the library returns null and leaves the reason in the connection.
  void check(const char* step, bool succeeded) {
    if (!succeeded) check(step, amqp_get_rpc_reply(connection_.get()));
  }

  static void check(const char* step, int status) {
    if (status < 0) throw amqp_error(std::string(step) + ": " + amqp_error_string2(status));
  }

  static void check(const char* step, const amqp_rpc_reply_t& reply) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    std::string reason = "the connection ended";
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
      reason = amqp_error_string2(reply.library_error);
    else if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
      reason = text(static_cast<amqp_channel_close_t*>(reply.reply.decoded)->reply_text);
    else if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
      reason = text(static_cast<amqp_connection_close_t*>(reply.reply.decoded)->reply_text);
    throw amqp_error(std::string(step) + ": " + reason);
  }

  static delivery copy(const amqp_envelope_t& envelope) {
    const auto& properties = envelope.message.properties;
    delivery message;
    message.tag = envelope.delivery_tag;
    message.body = text(envelope.message.body);
    if (properties._flags & AMQP_BASIC_MESSAGE_ID_FLAG)
      message.message_id = text(properties.message_id);
    if (properties._flags & AMQP_BASIC_TYPE_FLAG) message.type = text(properties.type);
    if (properties._flags & AMQP_BASIC_HEADERS_FLAG)
      for (int i = 0; i < properties.headers.num_entries; ++i) {
        const auto& header = properties.headers.entries[i];
        if (text(header.key) == "x-outbox-key" && header.value.kind == AMQP_FIELD_KIND_UTF8)
          message.key = text(header.value.value.bytes);
      }
    return message;
  }

  static std::string text(amqp_bytes_t value) {
    return {static_cast<const char*>(value.bytes), value.len};
  }

  // The library only reads what it is given here; its struct has no const.
  static amqp_bytes_t bytes(std::string_view value) {
    return {value.size(), const_cast<char*>(value.data())};
  }

  static amqp_table_entry_t text_entry(std::string_view key, std::string_view value) {
    amqp_table_entry_t entry{};
    entry.key = bytes(key);
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = bytes(value);
    return entry;
  }

  static timeval to_timeval(std::chrono::milliseconds time) {
    return {static_cast<time_t>(time.count() / 1000),
            static_cast<suseconds_t>(time.count() % 1000 * 1000)};
  }

  const std::unique_ptr<amqp_connection_state_t_, destroy_connection> connection_{
      amqp_new_connection()};
};

}  // namespace user_card
