#include "tests/support/amqp_probe.hpp"

#include "base/compat.hpp"
#include "tests/support/amqp_convert.hpp"
#include "tests/support/eventually.hpp"

#include <algorithm>

namespace outboxd::tests {
namespace {

// Deliveries have a channel of their own, so that they cannot get between a get and its answer.
constexpr amqp_channel_t command_channel = 1;
constexpr amqp_channel_t delivery_channel = 2;

timeval as_timeval(std::chrono::milliseconds t) {
  return {static_cast<time_t>(t.count() / 1000), static_cast<suseconds_t>(t.count() % 1000 * 1000)};
}

template <typename Close>
amqp_error refused(const void* close) {
  const auto& method = *static_cast<const Close*>(close);
  return {method.reply_code, read_bytes(method.reply_text)};
}

amqp_message read_message(const amqp_message_t& from, amqp_bytes_t exchange, amqp_bytes_t key) {
  amqp_message to;
  to.exchange = read_bytes(exchange);
  to.routing_key = read_bytes(key);
  to.body = read_bytes(from.body);
  to.properties = read_properties(from.properties);
  return to;
}

}  // namespace

class amqp_probe::connection {
 public:
  explicit connection(const std::string& url) : state_(amqp_new_connection()) {
    std::string parsed = url;  // which amqp_parse_url cuts into pieces
    amqp_connection_info info;
    if (amqp_parse_url(parsed.data(), &info) != AMQP_STATUS_OK || info.ssl)
      throw std::invalid_argument("the probe needs an amqp:// URL");
    // A broker that has just started on a busy machine takes longer than the library's 12 s.
    const timeval limit = as_timeval(std::chrono::seconds(60));
    amqp_set_handshake_timeout(state_.get(), &limit);
    amqp_socket_t* socket = amqp_tcp_socket_new(state_.get());
    const int status = amqp_socket_open_noblock(socket, info.host, info.port, &limit);
    if (status != AMQP_STATUS_OK) throw amqp_error(0, amqp_error_string2(status));
    constexpr int default_channel_max = 0;
    constexpr int no_heartbeat = 0;
    // Without this the consumer of a queue that is deleted waits for ever.
    const amqp_table client{{"capabilities", amqp_value::table({{"consumer_cancel_notify",
                                                                 amqp_value::boolean(true)}})}};
    amqp_writer writer;
    const amqp_table_t wishes = writer.table(client);
    check(amqp_login_with_properties(state_.get(), info.vhost, default_channel_max,
                                     AMQP_DEFAULT_FRAME_SIZE, no_heartbeat, &wishes,
                                     AMQP_SASL_METHOD_PLAIN, info.user, info.password),
          0);
    open(command_channel);
    open(delivery_channel);
  }

  amqp_connection_state_t state() { return state_.get(); }

  // Throws what a reply of the library says went wrong; the channel is usable again afterwards.
  void check(const amqp_rpc_reply_t& reply, amqp_channel_t channel) {
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
      throw amqp_error(0, amqp_error_string2(reply.library_error));
    closed(reply.reply, channel);
  }

  // The outcome of the command that was called last.
  void check_last() { check(amqp_get_rpc_reply(state_.get()), command_channel); }

  [[noreturn]] void closed(const amqp_method_t& method, amqp_channel_t channel) {
    if (method.id == AMQP_CONNECTION_CLOSE_METHOD)
      throw refused<amqp_connection_close_t>(method.decoded);
    const amqp_error error = refused<amqp_channel_close_t>(method.decoded);
    amqp_channel_close_ok_t ok{};
    amqp_send_method(state_.get(), channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    open(channel);
    throw error;
  }

 private:
  void open(amqp_channel_t channel) {
    amqp_channel_open(state_.get(), channel);
    check(amqp_get_rpc_reply(state_.get()), channel);
  }

  struct destroy {
    void operator()(amqp_connection_state_t state) const { amqp_destroy_connection(state); }
  };
  std::unique_ptr<amqp_connection_state_t_, destroy> state_;
};

std::optional<amqp_value> amqp_message::header(const std::string& name) const {
  if (!properties.headers) return std::nullopt;
  const auto found = properties.headers->find(name);
  if (found == properties.headers->end()) return std::nullopt;
  return found->second;
}

// RabbitMQ gives a login ten seconds (handshake_timeout). One that has just started on a busy
// machine may need longer for the first, and hangs up.
std::unique_ptr<amqp_probe::connection> amqp_probe::log_in(const std::string& url) {
  for (int tries_left = 4;; --tries_left) {
    try {
      return std::make_unique<connection>(url);
    } catch (const amqp_error& e) {
      const bool hung_up = e.code == 0;
      if (!hung_up || tries_left == 0) throw;
    }
  }
}

amqp_probe::amqp_probe(const std::string& url) : connection_(log_in(url)) {}
amqp_probe::~amqp_probe() = default;
amqp_probe::amqp_probe(amqp_probe&&) noexcept = default;
amqp_probe& amqp_probe::operator=(amqp_probe&&) noexcept = default;

void amqp_probe::declare_queue(const std::string& name, const queue_options& options) {
  amqp_writer writer;
  amqp_queue_declare(connection_->state(), command_channel, as_bytes(name), 0, options.durable,
                     options.exclusive, options.auto_delete, writer.table(options.arguments));
  connection_->check_last();
}

void amqp_probe::declare_exchange(const std::string& name, const std::string& type,
                                  const exchange_options& options) {
  amqp_writer writer;
  amqp_exchange_declare(connection_->state(), command_channel, as_bytes(name), as_bytes(type), 0,
                        options.durable, options.auto_delete, options.internal,
                        writer.table(options.arguments));
  connection_->check_last();
}

void amqp_probe::bind(const std::string& queue, const std::string& exchange,
                      const std::string& routing_key, const amqp_table& arguments) {
  amqp_writer writer;
  amqp_queue_bind(connection_->state(), command_channel, as_bytes(queue), as_bytes(exchange),
                  as_bytes(routing_key), writer.table(arguments));
  connection_->check_last();
}

void amqp_probe::unbind(const std::string& queue, const std::string& exchange,
                        const std::string& routing_key, const amqp_table& arguments) {
  amqp_writer writer;
  amqp_queue_unbind(connection_->state(), command_channel, as_bytes(queue), as_bytes(exchange),
                    as_bytes(routing_key), writer.table(arguments));
  connection_->check_last();
}

void amqp_probe::delete_queue(const std::string& name) {
  amqp_queue_delete(connection_->state(), command_channel, as_bytes(name), 0, 0);
  connection_->check_last();
}

void amqp_probe::delete_exchange(const std::string& name) {
  amqp_exchange_delete(connection_->state(), command_channel, as_bytes(name), 0);
  connection_->check_last();
}

void amqp_probe::purge(const std::string& queue) {
  amqp_queue_purge(connection_->state(), command_channel, as_bytes(queue));
  connection_->check_last();
}

std::optional<queue_state> amqp_probe::queue(const std::string& name) try {
  const amqp_queue_declare_ok_t* ok = amqp_queue_declare(
      connection_->state(), command_channel, as_bytes(name), 1, 0, 0, 0, amqp_empty_table);
  connection_->check_last();
  return queue_state{ok->message_count, ok->consumer_count};
} catch (const amqp_error& error) {
  if (error.code != AMQP_NOT_FOUND) throw;
  return std::nullopt;
}

bool amqp_probe::has_exchange(const std::string& name) try {
  amqp_exchange_declare(connection_->state(), command_channel, as_bytes(name),
                        amqp_cstring_bytes("direct"), 1, 0, 0, 0, amqp_empty_table);
  connection_->check_last();
  return true;
} catch (const amqp_error& error) {
  if (error.code != AMQP_NOT_FOUND) throw;
  return false;
}

void amqp_probe::publish(const std::string& exchange, const std::string& routing_key,
                         const std::string& body, const amqp_properties& properties) {
  amqp_writer writer;
  const amqp_basic_properties_t written = writer.properties(properties);
  const int status = amqp_basic_publish(connection_->state(), command_channel, as_bytes(exchange),
                                        as_bytes(routing_key), 0, 0, &written, as_bytes(body));
  if (status != AMQP_STATUS_OK) throw amqp_error(0, amqp_error_string2(status));
}

std::optional<amqp_message> amqp_probe::get(const std::string& queue) {
  amqp_maybe_release_buffers(connection_->state());
  constexpr int no_ack = 1;
  const amqp_rpc_reply_t reply =
      amqp_basic_get(connection_->state(), command_channel, as_bytes(queue), no_ack);
  connection_->check(reply, command_channel);
  if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) return std::nullopt;

  // Copied before more is read: the library reuses the memory of the method.
  const auto& ok = *static_cast<const amqp_basic_get_ok_t*>(reply.reply.decoded);
  amqp_message head;
  head.exchange = read_bytes(ok.exchange);
  head.routing_key = read_bytes(ok.routing_key);
  head.redelivered = ok.redelivered != 0;
  head.delivery_tag = ok.delivery_tag;

  amqp_message_t content;
  connection_->check(amqp_read_message(connection_->state(), command_channel, &content, 0),
                     command_channel);
  head.body = read_bytes(content.body);
  head.properties = read_properties(content.properties);
  amqp_destroy_message(&content);
  return head;
}

std::vector<amqp_message> amqp_probe::get_many(const std::string& queue, std::size_t count,
                                               std::chrono::milliseconds limit) {
  std::vector<amqp_message> messages;
  eventually(limit, [&] {
    while (messages.size() < count) {
      auto message = get(queue);
      if (!message) return false;
      messages.push_back(std::move(*message));
    }
    return true;
  });
  return messages;
}

void amqp_probe::consume(const std::string& queue, std::uint16_t prefetch) {
  amqp_basic_qos(connection_->state(), delivery_channel, 0, prefetch, 0);
  connection_->check(amqp_get_rpc_reply(connection_->state()), delivery_channel);
  amqp_basic_consume(connection_->state(), delivery_channel, as_bytes(queue), amqp_empty_bytes, 0,
                     0, 0, amqp_empty_table);
  connection_->check(amqp_get_rpc_reply(connection_->state()), delivery_channel);
}

std::optional<amqp_message> amqp_probe::next(std::chrono::milliseconds limit) {
  amqp_maybe_release_buffers(connection_->state());
  amqp_envelope_t envelope;
  const timeval patience = as_timeval(limit);
  const amqp_rpc_reply_t reply =
      amqp_consume_message(connection_->state(), &envelope, &patience, 0);
  if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
    amqp_message message = read_message(envelope.message, envelope.exchange, envelope.routing_key);
    message.redelivered = envelope.redelivered != 0;
    message.delivery_tag = envelope.delivery_tag;
    amqp_destroy_envelope(&envelope);
    return message;
  }
  if (reply.library_error == AMQP_STATUS_TIMEOUT) return std::nullopt;
  if (reply.library_error == AMQP_STATUS_UNEXPECTED_STATE) {
    amqp_frame_t frame;
    if (amqp_simple_wait_frame(connection_->state(), &frame) == AMQP_STATUS_OK &&
        frame.frame_type == AMQP_FRAME_METHOD) {
      if (frame.payload.method.id == AMQP_BASIC_CANCEL_METHOD)
        throw amqp_error(0, "the broker has cancelled the consumer: its queue is gone");
      connection_->closed(frame.payload.method, frame.channel);
    }
  }
  connection_->check(reply, delivery_channel);
  return std::nullopt;
}

void amqp_probe::ack(std::uint64_t delivery_tag, bool multiple) {
  const int status =
      amqp_basic_ack(connection_->state(), delivery_channel, delivery_tag, multiple ? 1 : 0);
  if (status != AMQP_STATUS_OK) throw amqp_error(0, amqp_error_string2(status));
}

void amqp_probe::reject(std::uint64_t delivery_tag, bool requeue) {
  const int status =
      amqp_basic_reject(connection_->state(), delivery_channel, delivery_tag, requeue ? 1 : 0);
  if (status != AMQP_STATUS_OK) throw amqp_error(0, amqp_error_string2(status));
}

}  // namespace outboxd::tests
