// What a broker sends, as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/unit/wire.hpp"

namespace outboxd::relay::amqp {

namespace wire = tests::wire;

inline constexpr char uuid_text[] = "0190b3a4-1c2d-7e4f-8a9b-0c1d2e3f4a5b";

inline std::string field(std::string_view name, char tag, std::string_view data) {
  return wire::short_string(name) + tag + std::string(data);
}
inline std::string flag(std::string_view name, bool on = true) {
  return field(name, 't', on ? "\1" : std::string_view("\0", 1));
}

inline std::string start_with(std::string_view properties) {
  return wire::a_method(0, 10, 10,
                        std::string("\0\x09", 2) + wire::long_string(properties) +
                            wire::long_string("PLAIN  AMQPLAIN") + wire::long_string("en_US"));
}

inline std::string a_start() {
  const std::string capabilities = flag("publisher_confirms") + flag("connection.blocked") +
                                   flag("authentication_failure_close") + flag("basic.nack", false);
  return start_with(field("product", 'S', wire::long_string("RabbitMQ")) +
                    field("version", 'S', wire::long_string("3.10.8")) +
                    field("cluster_name", 'S', wire::long_string("rabbit@host")) +
                    field("capabilities", 'F', wire::long_string(capabilities)));
}

inline std::string a_close(int channel, int class_id, std::string_view text) {
  return wire::a_method(
      channel, class_id, class_id == 10 ? 50 : 40,
      wire::number(404, 2) + wire::short_string(text) + wire::number(60, 2) + wire::number(40, 2));
}

inline std::string an_ack(int channel, std::uint64_t tag, bool multiple) {
  return wire::a_method(channel, 60, 80, wire::number(tag, 8) + wire::number(multiple, 1));
}
inline std::string a_nack(int channel, std::uint64_t tag, int bits) {
  return wire::a_method(channel, 60, 120,
                        wire::number(tag, 8) + wire::number(static_cast<std::uint64_t>(bits), 1));
}

inline std::string a_return_method(int channel) {
  return wire::a_method(channel, 60, 50,
                        wire::number(312, 2) + wire::short_string("NO_ROUTE") +
                            wire::short_string("ex") + wire::short_string("rk"));
}
inline constexpr int returned_flags = 1 << 15 | 1 << 13 | 1 << 12 | 1 << 7;
inline std::string returned_properties(std::string_view headers = {}) {
  return wire::short_string("text/plain") + wire::long_string(headers) + "\x02" +
         wire::short_string(uuid_text);
}
inline std::string a_return(int channel, std::string_view body) {
  std::string bytes =
      a_return_method(channel) +
      wire::a_content_header(channel, body.size(), returned_flags,
                             returned_properties(field("x-outbox-id", 'l', wire::number(1, 8))));
  const std::size_t half = body.size() / 2;
  if (half > 0) bytes += wire::a_frame(3, channel, body.substr(0, half));
  if (!body.empty()) bytes += wire::a_frame(3, channel, body.substr(half));
  return bytes;
}

inline std::string a_conversation() {
  return a_start() +
         wire::a_method(0, 10, 30,
                        wire::number(2047, 2) + wire::number(131'072, 4) + wire::number(60, 2)) +
         wire::a_method(0, 10, 41, wire::short_string("")) +
         wire::a_method(1, 20, 11, wire::long_string("")) + wire::a_method(1, 85, 11) +
         wire::a_frame(8, 0, "") + an_ack(1, 1, false) + a_return(1, "body") + a_nack(1, 2, 1) +
         a_close(1, 20, "NOT_FOUND") + a_close(0, 10, "bye");
}

}  // namespace outboxd::relay::amqp
