#include "relay/amqp/codec.hpp"

#include "tests/unit/published.hpp"

namespace outboxd::relay::amqp {
namespace {

using testing::HasSubstr;

// ---- publish ----

TEST(publish, minimal_row_becomes_exactly_these_bytes) {
  outbox::message row = a_row();
  const std::string method = wire::a_method(7, 60, 40,
                                            wire::number(0, 2) + wire::short_string("events") +
                                                wire::short_string("user.created") + "\x01");
  const std::string id_header = wire::short_string("x-outbox-id") + "l" + wire::number(42, 8);
  const std::string header = wire::a_content_header(
      7, 8, 1 << 15 | 1 << 13 | 1 << 12 | 1 << 7 | 1 << 6,
      wire::short_string("application/json") + wire::long_string(id_header) + "\x02" +
          wire::short_string(uuid_text) + wire::number(1'700'000'000, 8));
  EXPECT_EQ(encode(row), method + header + wire::a_frame(3, 7, row.body));
}

TEST(publish, every_property_reaches_its_field) {
  auto row = a_row();
  row.content_type = "text/plain";
  row.content_encoding = "gzip";
  row.type = "user.created.v1";
  row.correlation_id = "corr";
  row.reply_to = "answers";
  row.app_id = "users";
  row.priority = 9;
  row.expiration_ms = 60'000;
  row.ordering_key = "user-1";
  row.mandatory = false;
  const auto p = publish(row);
  EXPECT_EQ(p.exchange, "events");
  EXPECT_EQ(p.routing_key, "user.created");
  EXPECT_FALSE(p.mandatory);
  EXPECT_EQ(p.strings, (std::map<std::string, std::string>{{"content_type", "text/plain"},
                                                           {"content_encoding", "gzip"},
                                                           {"type", "user.created.v1"},
                                                           {"correlation_id", "corr"},
                                                           {"reply_to", "answers"},
                                                           {"app_id", "users"},
                                                           {"expiration", "60000"},
                                                           {"message_id", uuid_text}}));
  EXPECT_EQ(p.priority, 9);
  EXPECT_EQ(p.delivery_mode, 2);
  EXPECT_EQ(p.timestamp, 1'700'000'000u);
  EXPECT_EQ(p.headers.at("x-outbox-id").integer(), 42);
  EXPECT_EQ(p.headers.at("x-outbox-key").text(), "user-1");
  EXPECT_EQ(p.headers.size(), 2u);
}

TEST(publish, binary_body_defaults_to_octet_stream) {
  auto row = a_row();
  row.is_binary = true;
  row.body = std::string("\0\xCE\xFF", 3);
  const auto p = publish(row);
  EXPECT_EQ(p.strings.at("content_type"), "application/octet-stream");
  EXPECT_EQ(p.body, row.body);
}

TEST(publish, empty_body_has_no_body_frame) {
  auto row = a_row();
  row.body.clear();
  const auto p = publish(row);
  EXPECT_EQ(p.body_size, 0u);
  EXPECT_EQ(p.body_frames, 0u);
}

TEST(publish, body_is_split_at_frame_max) {
  constexpr std::uint32_t small_frame = 4096;
  constexpr std::size_t payload = small_frame - 8;
  for (const std::size_t size : {payload, payload + 1, 3 * payload}) {
    auto row = a_row();
    row.body.assign(size, 'x');
    const std::string bytes = encode(row, small_frame);
    for (const auto& f : wire::frames(bytes)) EXPECT_LE(f.payload.size(), payload);
    const auto p = read_publish(bytes);
    EXPECT_EQ(p.body, row.body);
    EXPECT_EQ(p.body_frames, (size + payload - 1) / payload);
  }
}

TEST(publish, messages_follow_each_other_in_one_buffer) {
  std::string out;
  ASSERT_FALSE(append_publish(out, 7, a_row(), frame_max, size_max));
  const std::string first = out;
  ASSERT_FALSE(append_publish(out, 7, a_row(), frame_max, size_max));
  EXPECT_EQ(out, first + first);
}

TEST(publish, short_strings_take_255_bytes_and_no_more) {
  const std::string longest(255, 'x'), longer(256, 'x');
  using member = std::optional<std::string> outbox::message::*;
  for (const auto& [name, field] :
       std::map<std::string, member>{{"content_type", &outbox::message::content_type},
                                     {"content_encoding", &outbox::message::content_encoding},
                                     {"type", &outbox::message::type},
                                     {"correlation_id", &outbox::message::correlation_id},
                                     {"reply_to", &outbox::message::reply_to},
                                     {"app_id", &outbox::message::app_id}}) {
    auto row = a_row();
    row.*field = longest;
    EXPECT_EQ(publish(row).strings.at(name), longest);
    row.*field = longer;
    EXPECT_EQ(refusal(row), name + " is 256 bytes long, AMQP takes 255");
  }
  for (const auto& [name, field] : std::map<std::string, std::string outbox::message::*>{
           {"exchange", &outbox::message::exchange},
           {"routing_key", &outbox::message::routing_key}}) {
    auto row = a_row();
    row.*field = longest;
    publish(row);
    row.*field = longer;
    EXPECT_EQ(refusal(row), name + " is 256 bytes long, AMQP takes 255");
  }
}

TEST(publish, expiration_outside_rabbitmqs_range_is_invalid) {
  auto row = a_row();
  for (const std::int64_t good : {std::int64_t{0}, std::int64_t{315'360'000'000}}) {
    row.expiration_ms = good;
    EXPECT_EQ(publish(row).strings.at("expiration"), std::to_string(good));
  }
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{315'360'000'001}}) {
    row.expiration_ms = bad;
    EXPECT_THAT(refusal(row), HasSubstr("expiration_ms"));
  }
}

TEST(publish, body_over_the_limit_is_too_large) {
  auto row = a_row();
  row.body.assign(size_max, 'x');
  EXPECT_EQ(publish(row).body.size(), size_max);
  row.body += 'x';
  EXPECT_THAT(refusal(row, verdict::too_large), HasSubstr("1048577"));
}

TEST(publish, content_header_over_frame_max_is_invalid) {
  auto row = a_row();
  row.headers = "{\"h\":\"\"}";
  const std::size_t without = wire::frames(encode(row)).at(1).payload.size() + 8;
  row.headers = "{\"h\":\"" + std::string(frame_max - without, 'x') + "\"}";
  EXPECT_EQ(wire::frames(encode(row)).at(1).payload.size() + 8, frame_max);
  row.headers = "{\"h\":\"" + std::string(frame_max - without + 1, 'x') + "\"}";
  EXPECT_THAT(refusal(row), HasSubstr("frame_max is 131072"));
}

TEST(publish, row_from_before_1970_has_timestamp_zero) {
  auto row = a_row();
  row.created_at = std::chrono::system_clock::time_point(std::chrono::seconds(-5));
  EXPECT_EQ(publish(row).timestamp, 0u);
}

// ---- everything else that is sent ----

std::string payload_of(const std::string& bytes, int channel, std::uint64_t class_id,
                       std::uint64_t method_id) {
  const auto frames = wire::frames(bytes);
  EXPECT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames.at(0).type, 1);
  EXPECT_EQ(frames.at(0).channel, channel);
  wire::reader r(frames.at(0).payload);
  EXPECT_EQ(r.number(2), class_id);
  EXPECT_EQ(r.number(2), method_id);
  return frames.at(0).payload.substr(4);
}

TEST(methods, start_ok_tells_who_we_are_and_what_we_understand) {
  std::string out;
  append_start_ok(out, {"outboxd:pod-1:0", "0.1.0"}, "PLAIN", std::string("\0u\0p", 4));
  const std::string arguments = payload_of(out, 0, 10, 11);
  wire::reader r(arguments);
  const auto properties = r.fields();
  EXPECT_EQ(properties.at("product").text(), "outboxd");
  EXPECT_EQ(properties.at("version").text(), "0.1.0");
  EXPECT_EQ(properties.at("connection_name").text(), "outboxd:pod-1:0");
  for (const char* name : {"publisher_confirms", "basic.nack", "connection.blocked",
                           "consumer_cancel_notify", "authentication_failure_close"})
    EXPECT_TRUE(properties.at("capabilities").fields().at(name).boolean());
  EXPECT_EQ(r.short_string(), "PLAIN");
  EXPECT_EQ(r.long_string(), std::string("\0u\0p", 4));
  EXPECT_EQ(r.short_string(), "en_US");
  EXPECT_TRUE(r.empty());
}

TEST(methods, the_handshake_is_written_as_specified) {
  std::string header, tune, open;
  append_protocol_header(header);
  EXPECT_EQ(header, std::string("AMQP\0\0\x09\x01", 8));
  append_tune_ok(tune, 2047, 131'072, 15);
  EXPECT_EQ(payload_of(tune, 0, 10, 31),
            wire::number(2047, 2) + wire::number(131'072, 4) + wire::number(15, 2));
  append_connection_open(open, "v1");
  EXPECT_EQ(payload_of(open, 0, 10, 40),
            wire::short_string("v1") + wire::short_string("") + wire::number(0, 1));
}

TEST(methods, channels_are_opened_confirmed_and_closed) {
  std::string open, select, close, close_ok, flow_ok;
  append_channel_open(open, 3);
  EXPECT_EQ(payload_of(open, 3, 20, 10), wire::short_string(""));
  append_confirm_select(select, 3);
  EXPECT_EQ(payload_of(select, 3, 85, 10), wire::number(0, 1));
  append_channel_close(close, 3, 200, "bye");
  EXPECT_EQ(payload_of(close, 3, 20, 40),
            wire::number(200, 2) + wire::short_string("bye") + wire::number(0, 4));
  append_channel_close_ok(close_ok, 3);
  EXPECT_EQ(payload_of(close_ok, 3, 20, 41), "");
  append_channel_flow_ok(flow_ok, 3, true);
  EXPECT_EQ(payload_of(flow_ok, 3, 20, 21), wire::number(1, 1));
}

TEST(methods, connection_close_cuts_an_over_long_text) {
  std::string close, close_ok;
  append_connection_close(close, 541, std::string(300, 'x'));
  EXPECT_EQ(payload_of(close, 0, 10, 50),
            wire::number(541, 2) + wire::short_string(std::string(255, 'x')) + wire::number(0, 4));
  append_connection_close_ok(close_ok);
  EXPECT_EQ(payload_of(close_ok, 0, 10, 51), "");
}

TEST(methods, exchange_is_declared_passively) {
  std::string out;
  append_exchange_declare_passive(out, 2, "events");
  const std::string arguments = payload_of(out, 2, 40, 10);
  wire::reader r(arguments);
  EXPECT_EQ(r.number(2), 0u);
  EXPECT_EQ(r.short_string(), "events");
  r.short_string();
  EXPECT_EQ(r.number(1), 1u) << "only the passive bit";
  EXPECT_TRUE(r.fields().empty());
  EXPECT_TRUE(r.empty());
}

TEST(methods, a_temporary_queue_is_exclusive_and_nobody_waits_for_an_answer) {
  std::string out;
  append_queue_declare_temporary(out, 2, "outboxd.check.1");
  const std::string arguments = payload_of(out, 2, 50, 10);
  wire::reader r(arguments);
  EXPECT_EQ(r.number(2), 0u);
  EXPECT_EQ(r.short_string(), "outboxd.check.1");
  EXPECT_EQ(r.number(1), 4u | 8u | 16u)
      << "exclusive, auto-delete, no-wait; not passive, not durable";
  EXPECT_TRUE(r.fields().empty());
  EXPECT_TRUE(r.empty());
}

TEST(methods, exchanges_are_unbound_and_nobody_waits_for_an_answer) {
  std::string out;
  append_exchange_unbind(out, 2, "events", "amq.direct", "k");
  const std::string arguments = payload_of(out, 2, 40, 40);
  wire::reader r(arguments);
  EXPECT_EQ(r.number(2), 0u);
  EXPECT_EQ(r.short_string(), "events");
  EXPECT_EQ(r.short_string(), "amq.direct");
  EXPECT_EQ(r.short_string(), "k");
  EXPECT_EQ(r.number(1), 1u) << "no-wait";
  EXPECT_TRUE(r.fields().empty());
  EXPECT_TRUE(r.empty());
}

TEST(methods, heartbeat_is_an_empty_frame_on_channel_0) {
  std::string out;
  append_heartbeat(out);
  EXPECT_EQ(out, wire::a_frame(8, 0, ""));
}

TEST(sasl, each_mechanism_has_its_form) {
  EXPECT_EQ(sasl_response("PLAIN", "user", "pa:ss"), std::string("\0user\0pa:ss", 11));
  EXPECT_EQ(sasl_response("EXTERNAL", "user", "secret"), "");
  const std::string table = sasl_response("AMQPLAIN", "user", "secret");
  const std::string with_length = wire::long_string(table);
  const auto fields = wire::reader(with_length).fields();
  EXPECT_EQ(fields.at("LOGIN").text(), "user");
  EXPECT_EQ(fields.at("PASSWORD").text(), "secret");
}

TEST(sasl, long_tokens_pass) {
  const std::string token(20'000, 't');
  std::string out;
  append_start_ok(out, {"n", "v"}, "PLAIN", sasl_response("PLAIN", "", token));
  EXPECT_THAT(wire::frames(out).at(0).payload, HasSubstr(token));
}

}  // namespace
}  // namespace outboxd::relay::amqp
