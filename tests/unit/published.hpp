// Publishes a row into a buffer and reads it back, field by field as the specification lists them.
#pragma once

#include <gmock/gmock.h>

#include <boost/uuid/string_generator.hpp>

#include "relay/amqp/codec.hpp"
#include "tests/unit/wire.hpp"

namespace outboxd::relay::amqp {

namespace wire = tests::wire;

inline constexpr std::uint32_t frame_max = 131'072;
inline constexpr std::size_t size_max = 1 << 20;
inline constexpr char uuid_text[] = "0190b3a4-1c2d-7e4f-8a9b-0c1d2e3f4a5b";

inline outbox::message a_row() {
  outbox::message row;
  row.ref = {42, boost::uuids::string_generator{}(uuid_text)};
  row.exchange = "events";
  row.routing_key = "user.created";
  row.body = R"({"id":1})";
  row.body_loaded = true;
  row.created_at =
      std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'999));
  return row;
}

struct published {
  std::string exchange, routing_key;
  bool mandatory = false;
  std::uint64_t body_size = 0;
  int flags = 0;
  std::map<std::string, std::string> strings;
  wire::table headers;
  int delivery_mode = 0, priority = -1;
  std::uint64_t timestamp = 0;
  std::string body;
  std::size_t body_frames = 0;
};

// Reads basic.publish, content header and body, field by field as the specification lists them.
inline published read_publish(std::string_view bytes) {
  const auto frames = wire::frames(bytes);
  published p;
  EXPECT_EQ(frames.at(0).type, 1);
  wire::reader method(frames.at(0).payload);
  EXPECT_EQ(method.number(2), 60u);
  EXPECT_EQ(method.number(2), 40u);
  EXPECT_EQ(method.number(2), 0u);  // reserved
  p.exchange = method.short_string();
  p.routing_key = method.short_string();
  const auto bits = method.number(1);
  EXPECT_EQ(bits & 2, 0u) << "immediate";
  p.mandatory = bits & 1;
  EXPECT_TRUE(method.empty());

  EXPECT_EQ(frames.at(1).type, 2);
  wire::reader header(frames.at(1).payload);
  EXPECT_EQ(header.number(2), 60u);
  EXPECT_EQ(header.number(2), 0u);  // weight
  p.body_size = header.number(8);
  p.flags = static_cast<int>(header.number(2));
  const auto text = [&](int bit, const char* name) {
    if (p.flags & 1 << bit) p.strings[name] = header.short_string();
  };
  text(15, "content_type");
  text(14, "content_encoding");
  if (p.flags & 1 << 13) p.headers = header.fields();
  if (p.flags & 1 << 12) p.delivery_mode = static_cast<int>(header.number(1));
  if (p.flags & 1 << 11) p.priority = static_cast<int>(header.number(1));
  text(10, "correlation_id");
  text(9, "reply_to");
  text(8, "expiration");
  text(7, "message_id");
  if (p.flags & 1 << 6) p.timestamp = header.number(8);
  text(5, "type");
  text(4, "user_id");
  text(3, "app_id");
  text(2, "cluster_id");
  EXPECT_TRUE(header.empty());

  for (std::size_t i = 2; i < frames.size(); ++i, ++p.body_frames) {
    EXPECT_EQ(frames[i].type, 3);
    p.body += frames[i].payload;
  }
  for (const auto& f : frames) EXPECT_EQ(f.channel, 7);
  return p;
}

inline std::string encode(const outbox::message& row, std::uint32_t max = frame_max) {
  std::string out;
  const auto refused = append_publish(out, 7, row, max, size_max);
  EXPECT_FALSE(refused) << refused->text;
  return out;
}

inline published publish(const outbox::message& row) {
  return read_publish(encode(row));
}

inline published publish_headers(const char* json) {
  auto row = a_row();
  row.headers = json;
  return publish(row);
}

// The text of the rejection; fails unless nothing was appended.
inline std::string refusal(const outbox::message& row, verdict expected = verdict::invalid) {
  std::string out = "before";
  const auto refused = append_publish(out, 7, row, frame_max, size_max);
  EXPECT_EQ(out, "before");
  if (!refused) return "accepted";
  EXPECT_EQ(refused->what, expected);
  return refused->text;
}

}  // namespace outboxd::relay::amqp
