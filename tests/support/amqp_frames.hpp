// AMQP 0-9-1 frames as bytes, for what stands between a client and a broker. Shares no code with
// the relay. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace outboxd::tests {

// Big-endian, as everything in AMQP.
std::uint64_t read_number(std::string_view bytes);
std::string number_bytes(std::uint64_t value, std::size_t size);

// class << 16 | method
namespace amqp_method {
constexpr std::uint32_t channel_open = 20 << 16 | 10;
constexpr std::uint32_t basic_publish = 60 << 16 | 40;
constexpr std::uint32_t basic_ack = 60 << 16 | 80;
constexpr std::uint32_t basic_nack = 60 << 16 | 120;
}  // namespace amqp_method

// The views are good during the call that shows the frame.
struct amqp_frame {
  static constexpr char method_type = 1;
  static constexpr char body_type = 3;

  char type = 0;
  std::uint16_t channel = 0;
  std::uint32_t method = 0;         // 0: not a method
  std::string_view arguments = {};  // of the method
  std::string_view payload = {};
  std::string_view all = {};
};

// Takes whole frames off the front of what was received; a part of one stays.
void for_each_frame(std::string& received, const std::function<void(const amqp_frame&)>& what);

struct amqp_confirm {
  std::uint64_t tag = 0;
  bool multiple = false;  // and all before it
};
// Of a basic.ack or basic.nack.
amqp_confirm confirm_of(const amqp_frame& f);
std::string confirm_frame(std::uint16_t channel, std::uint32_t method, std::uint64_t tag);

std::string_view routing_key_of(const amqp_frame& publish);

}  // namespace outboxd::tests
