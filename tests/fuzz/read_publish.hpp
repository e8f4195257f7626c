// Reads a publish frame by frame as the specification lists it.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

#include "tests/fuzz/fuzz.hpp"
#include "tests/unit/wire.hpp"

namespace outboxd::fuzz {

struct published {
  using text = std::optional<std::string>;

  std::string exchange, routing_key;
  bool mandatory = false, has_user_id = false;
  text content_type, content_encoding, correlation_id, reply_to, expiration, message_id, type,
      app_id;
  tests::wire::table headers;
  int delivery_mode = 0;
  std::optional<std::uint8_t> priority;
  std::string body;
};

inline void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

// basic.publish, content header, body; throws when it is not exactly that, on channel 7, in frames
// of at most frame_max bytes.
inline published read_publish(std::string_view bytes, std::uint32_t frame_max) {
  const auto frames = tests::wire::frames(bytes);
  expect(frames.size() >= 2, "a method and a content header");
  for (const auto& f : frames) {
    expect(f.channel == 7, "another channel");
    expect(f.payload.size() + 8 <= frame_max, "a frame over frame_max");
  }
  published p;
  expect(frames[0].type == 1, "a method first");
  tests::wire::reader method(frames[0].payload);
  expect(method.number(4) == (60u << 16 | 40u), "basic.publish");
  expect(method.number(2) == 0, "the ticket");
  p.exchange = method.short_string();
  p.routing_key = method.short_string();
  const auto bits = method.number(1);
  expect((bits & ~1u) == 0, "no bit but mandatory");
  p.mandatory = bits & 1;
  expect(method.empty(), "nothing after the arguments");

  expect(frames[1].type == 2, "a content header second");
  tests::wire::reader header(frames[1].payload);
  expect(header.number(4) == 60u << 16, "class basic, weight 0");
  const auto body_size = header.number(8);
  const auto flags = header.number(2);
  const auto text = [&](int bit) {
    return flags >> bit & 1 ? published::text(header.short_string()) : std::nullopt;
  };
  p.content_type = text(15);
  p.content_encoding = text(14);
  if (flags >> 13 & 1) p.headers = header.fields();
  if (flags >> 12 & 1) p.delivery_mode = static_cast<int>(header.number(1));
  if (flags >> 11 & 1) p.priority = static_cast<std::uint8_t>(header.number(1));
  p.correlation_id = text(10);
  p.reply_to = text(9);
  p.expiration = text(8);
  p.message_id = text(7);
  if (flags >> 6 & 1) header.number(8);  // the timestamp
  p.type = text(5);
  p.has_user_id = text(4).has_value();
  p.app_id = text(3);
  expect((flags & 7) == 0, "no other property");
  expect(header.empty(), "nothing after the properties");

  for (std::size_t i = 2; i < frames.size(); ++i) {
    expect(frames[i].type == 3, "a body after the header");
    p.body += frames[i].payload;
  }
  expect(p.body.size() == body_size, "a body as long as announced");
  return p;
}

}  // namespace outboxd::fuzz
