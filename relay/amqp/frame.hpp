// Frames as bytes: type, channel, payload length, payload, end octet. Internal to the codec.
// AMQP 0-9-1 section 2.3.5.
#pragma once

#include <boost/endian/conversion.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

#include "relay/amqp/codec.hpp"
#include "relay/amqp/rabbitmq_c.hpp"

namespace outboxd::relay::amqp {

inline constexpr std::size_t frame_header_size = 7;
inline constexpr std::size_t frame_overhead = frame_header_size + 1;  // with the end octet

inline std::uint8_t read_u8(const char* p) {
  return static_cast<std::uint8_t>(*p);
}
inline std::uint16_t read_u16(const char* p) {
  return boost::endian::load_big_u16(reinterpret_cast<const unsigned char*>(p));
}
inline std::uint32_t read_u32(const char* p) {
  return boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(p));
}
inline std::uint64_t read_u64(const char* p) {
  return boost::endian::load_big_u64(reinterpret_cast<const unsigned char*>(p));
}
inline void write_u16(char* p, std::uint16_t v) {
  boost::endian::store_big_u16(reinterpret_cast<unsigned char*>(p), v);
}
inline void write_u32(char* p, std::uint32_t v) {
  boost::endian::store_big_u32(reinterpret_cast<unsigned char*>(p), v);
}
inline void write_u64(char* p, std::uint64_t v) {
  boost::endian::store_big_u64(reinterpret_cast<unsigned char*>(p), v);
}

inline void write_frame_header(char* p, std::uint8_t type, channel_id channel,
                               std::size_t payload) {
  p[0] = static_cast<char>(type);
  write_u16(p + 1, channel);
  write_u32(p + 3, static_cast<std::uint32_t>(payload));
}

inline constexpr char frame_end = static_cast<char>(AMQP_FRAME_END);

// Our own arguments broke a precondition of the encoder. Going on would put a corrupt frame on the
// wire.
[[noreturn]] void encoder_bug(const char* what);

// Appends one method frame, encoded in place. `room`: how many bytes the arguments take at most.
void append_method(std::string& out, channel_id channel, amqp_method_number_t id, void* method,
                   std::size_t room);

}  // namespace outboxd::relay::amqp
