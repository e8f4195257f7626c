#include "tests/support/amqp_frames.hpp"

namespace outboxd::tests {

std::uint64_t read_number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

std::string number_bytes(std::uint64_t value, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = size; i-- > 0; value >>= 8) bytes[i] = static_cast<char>(value & 0xff);
  return bytes;
}

void for_each_frame(std::string& received, const std::function<void(const amqp_frame&)>& what) {
  constexpr std::size_t head = 7, tail = 1;
  std::string_view rest = received;
  while (rest.size() >= head) {
    const std::size_t size = read_number(rest.substr(3, 4));
    if (rest.size() < head + size + tail) break;
    amqp_frame f{.type = rest[0],
                 .channel = static_cast<std::uint16_t>(read_number(rest.substr(1, 2))),
                 .payload = rest.substr(head, size),
                 .all = rest.substr(0, head + size + tail)};
    if (f.type == amqp_frame::method_type && size >= 4) {
      f.method = static_cast<std::uint32_t>(read_number(f.payload.substr(0, 4)));
      f.arguments = f.payload.substr(4);
    }
    what(f);
    rest.remove_prefix(f.all.size());
  }
  received.erase(0, received.size() - rest.size());
}

amqp_confirm confirm_of(const amqp_frame& f) {
  return {read_number(f.arguments.substr(0, 8)), (f.arguments[8] & 1) != 0};
}

std::string confirm_frame(std::uint16_t channel, std::uint32_t method, std::uint64_t tag) {
  const std::string payload =
      number_bytes(method, 4) + number_bytes(tag, 8) + std::string(1, '\0');  // not multiple
  return std::string(1, amqp_frame::method_type) + number_bytes(channel, 2) +
         number_bytes(payload.size(), 4) + payload + '\xCE';
}

// ticket, exchange, routing key
std::string_view routing_key_of(const amqp_frame& publish) {
  const std::string_view a = publish.arguments;
  const std::size_t exchange = read_number(a.substr(2, 1));
  const std::size_t key = read_number(a.substr(3 + exchange, 1));
  return a.substr(4 + exchange, key);
}

}  // namespace outboxd::tests
