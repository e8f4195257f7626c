// An AMQP server for tests that does what its script says, right or wrong: stall, refuse, confirm
// what it never got, fall silent, talk garbage. Listens on a loopback port of its own, TCP or TLS;
// each connection runs the script in a thread of its own. Written on the byte level, without the
// code under test. The destructor cuts every connection and waits for the scripts to end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/certificates.hpp"

namespace outboxd::tests {

// One frame as it came. For method frames `method` is class << 16 | method, otherwise 0.
struct received_frame {
  std::uint8_t type = 0;
  std::uint16_t channel = 0;
  std::uint32_t method = 0;
  std::string payload;  // of a method frame: what follows class and method
};

namespace method {
constexpr std::uint32_t id(std::uint32_t class_id, std::uint32_t method_id) {
  return class_id << 16 | method_id;
}
inline constexpr std::uint32_t start_ok = id(10, 11);
inline constexpr std::uint32_t tune_ok = id(10, 31);
inline constexpr std::uint32_t connection_open = id(10, 40);
inline constexpr std::uint32_t connection_close = id(10, 50);
inline constexpr std::uint32_t connection_close_ok = id(10, 51);
inline constexpr std::uint32_t channel_open = id(20, 10);
inline constexpr std::uint32_t channel_close = id(20, 40);
inline constexpr std::uint32_t channel_close_ok = id(20, 41);
inline constexpr std::uint32_t exchange_declare = id(40, 10);
inline constexpr std::uint32_t publish = id(60, 40);
inline constexpr std::uint32_t confirm_select = id(85, 10);
}  // namespace method

// The client did something that the script does not expect, or has gone.
struct unexpected : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class how_it_ended { closed, reset };

// The server's end of one connection, as a script sees it. Every call blocks; each throws
// `unexpected` when the client is gone.
class broker_side {
 public:
  virtual ~broker_side() = default;

  virtual int number() const = 0;  // 0 for the first connection
  // The name that the client asked for in its TLS handshake (SNI); empty: none.
  virtual std::string server_name() = 0;

  // Handshake steps, and all of them at once up to and including confirm.select-ok.
  virtual void greet(std::string_view mechanisms = "PLAIN AMQPLAIN") = 0;
  virtual void tune(std::uint16_t heartbeat) = 0;
  // Only the question, with any limits.
  virtual void ask_to_tune(std::uint16_t channel_max, std::uint32_t frame_max,
                           std::uint16_t heartbeat) = 0;
  virtual void open() = 0;
  // Answers the opening of the confirm channel alone.
  virtual void open_confirm_channel() = 0;
  void handshake(std::uint16_t heartbeat = 60) {
    greet();
    tune(heartbeat);
    open();
  }

  // The next frame that is no heartbeat.
  virtual received_frame read() = 0;
  // Skips everything before a method, contents too.
  virtual received_frame read_until(std::uint32_t method) = 0;
  // Reads and counts publishes; returns once there were so many.
  void take_publishes(int count) {
    for (int i = 0; i < count; ++i) read_until(method::publish);
  }
  // Takes and throws away what comes until nothing comes for so long; returns the number of bytes.
  // There may be half a frame at the end, so that no frame can be read after it. Not over TLS.
  virtual std::size_t take_until_quiet(std::chrono::milliseconds limit) = 0;
  // Takes and throws away what comes until the client ends the connection.
  virtual how_it_ended wait_for_the_end() = 0;
  // The same without taking anything.
  virtual how_it_ended wait_until_hung_up(std::chrono::milliseconds limit) = 0;

  virtual void send(std::string_view bytes) = 0;
  void ack(std::uint64_t tag, bool multiple = false);
  void nack(std::uint64_t tag, bool multiple = false);
  void blocked(std::string_view reason);
  void unblocked();
  void close_connection(int code, std::string_view text);
  void close_ok();
  void close_channel(std::uint16_t channel, int code, std::string_view text);
  void heartbeat();
  virtual void cut() = 0;    // without a word
  virtual void reset() = 0;  // the same by RST
};

class scripted_broker {
 public:
  using script = std::function<void(broker_side&)>;

  explicit scripted_broker(script what, const std::optional<certificate>& tls = {});
  ~scripted_broker();

  int port() const;
  // amqp(s)://guest:guest@localhost:port/%2f plus this query.
  std::string url(std::string_view query = {}) const;
  int connections() const;
  // What a script complained about; empty when every script was content.
  std::string complaints() const;

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace outboxd::tests
