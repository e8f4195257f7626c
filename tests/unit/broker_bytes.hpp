// What a broker sends, as bytes, and what the decoder makes of it, as lines of text.
#pragma once

#include <gmock/gmock.h>

#include "relay/amqp/codec.hpp"
#include "tests/unit/broker_frames.hpp"
#include "tests/unit/described.hpp"

namespace outboxd::relay::amqp {

struct seen {
  std::vector<std::string> values;
  std::optional<protocol_error> error;
};

// Feeds pieces of `step` bytes to a decoder with channels 1 and 2 open.
inline seen feed(std::string_view bytes, std::size_t step = std::string::npos) {
  decoder d;
  d.open_channel(1);
  d.open_channel(2);
  seen s;
  while (!bytes.empty() && !s.error) {
    const std::string piece(bytes.substr(0, step));  // of its own: a sanitizer sees reads beyond it
    bytes.remove_prefix(piece.size());
    s.error =
        d.feed(piece, [&](incoming&& value) { s.values.push_back(std::visit(describe{}, value)); });
  }
  return s;
}

inline std::vector<std::string> values(std::string_view bytes) {
  const seen s = feed(bytes);
  EXPECT_FALSE(s.error) << s.error->text;
  return s.values;
}

// "code text" of the protocol error; nothing may have been delivered.
inline std::string error(std::string_view bytes) {
  const seen s = feed(bytes);
  EXPECT_THAT(s.values, testing::IsEmpty());
  return s.error ? std::to_string(s.error->code) + " " + s.error->text : "no error";
}

}  // namespace outboxd::relay::amqp
