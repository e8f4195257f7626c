// The other end of the broker, for tests: a blocking client over plain rabbitmq-c, which shares no
// code with the relay. Connects in the constructor. Every call throws amqp_error when the broker
// refuses it; a refusal closes the channel, which the next call opens again (consumers are gone
// then). One thread at a time.
#pragma once

#include "tests/support/amqp_value.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace outboxd::tests {

// code: the broker's reply code (e.g. 404), or 0 when the connection failed.
struct amqp_error : std::runtime_error {
  amqp_error(int reply_code, const std::string& text) : runtime_error(text), code(reply_code) {}
  int code;
};

// Properties that are not there are nullopt; no headers at all differ from an empty table.
struct amqp_properties {
  std::optional<std::string> content_type = {}, content_encoding = {}, correlation_id = {},
                             reply_to = {}, expiration = {}, message_id = {}, type = {},
                             user_id = {}, app_id = {};
  std::optional<int> delivery_mode = {}, priority = {};
  std::optional<std::uint64_t> timestamp = {};  // seconds
  std::optional<amqp_table> headers = {};
};

struct amqp_message {
  std::string exchange, routing_key, body;
  bool redelivered = false;
  std::uint64_t delivery_tag = 0;
  amqp_properties properties;

  // nullopt: no headers, or none of that name.
  std::optional<amqp_value> header(const std::string& name) const;
};

struct queue_options {
  bool durable = true;
  bool exclusive = false;
  bool auto_delete = false;
  amqp_table arguments = {};  // e.g. {{"x-max-length", amqp_value::int64(10)}}
};

struct exchange_options {
  bool durable = true;
  bool auto_delete = false;
  bool internal = false;
  amqp_table arguments = {};
};

struct queue_state {
  std::uint32_t messages = 0;  // ready, not those that wait for an ack
  std::uint32_t consumers = 0;
};

class amqp_probe {
 public:
  explicit amqp_probe(const std::string& url);
  ~amqp_probe();
  amqp_probe(amqp_probe&&) noexcept;
  amqp_probe& operator=(amqp_probe&&) noexcept;

  void declare_queue(const std::string& name, const queue_options& options = {});
  void declare_exchange(const std::string& name, const std::string& type,
                        const exchange_options& options = {});
  void bind(const std::string& queue, const std::string& exchange, const std::string& routing_key,
            const amqp_table& arguments = {});
  void unbind(const std::string& queue, const std::string& exchange, const std::string& routing_key,
              const amqp_table& arguments = {});
  void delete_queue(const std::string& name);
  void delete_exchange(const std::string& name);
  void purge(const std::string& queue);

  // By passive declares; nullopt and false: there is none.
  std::optional<queue_state> queue(const std::string& name);
  bool has_exchange(const std::string& name);

  // Neither mandatory nor confirmed.
  void publish(const std::string& exchange, const std::string& routing_key, const std::string& body,
               const amqp_properties& properties = {});

  // One message, taken off the queue; nullopt: empty.
  std::optional<amqp_message> get(const std::string& queue);
  // Gets until there are `count` or the limit is over; shows what did arrive either way.
  std::vector<amqp_message> get_many(const std::string& queue, std::size_t count,
                                     std::chrono::milliseconds limit);

  // A consumer that has to ack. prefetch 0: no limit.
  void consume(const std::string& queue, std::uint16_t prefetch = 0);
  std::optional<amqp_message> next(std::chrono::milliseconds limit);
  void ack(std::uint64_t delivery_tag, bool multiple = false);
  void reject(std::uint64_t delivery_tag, bool requeue);

 private:
  class connection;
  static std::unique_ptr<connection> log_in(const std::string& url);

  std::unique_ptr<connection> connection_;
};

}  // namespace outboxd::tests
