#include <gmock/gmock.h>

#include <random>

#include "relay/amqp/codec.hpp"
#include "tests/unit/wire.hpp"

namespace outboxd::relay::amqp {
namespace {

namespace wire = tests::wire;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// ---- what arrives, as one line of text
// ---------------------------------------------------------------

struct describe {
  std::string operator()(const connection_start& m) const {
    std::string text = "start";
    for (const auto& name : m.mechanisms) text += " " + name;
    text += "; " + m.product + " " + m.version + " " + m.cluster_name + ";";
    if (m.supports_blocked) text += " blocked";
    if (m.supports_authentication_failure_close) text += " auth-close";
    if (m.supports_confirms) text += " confirms";
    return text;
  }
  std::string operator()(const connection_secure& m) const { return "secure " + m.challenge; }
  std::string operator()(const connection_tune& m) const {
    return "tune " + std::to_string(m.channel_max) + " " + std::to_string(m.frame_max) + " " +
           std::to_string(m.heartbeat);
  }
  std::string operator()(const connection_open_ok&) const { return "open-ok"; }
  std::string operator()(const connection_close& m) const {
    return "close " + std::to_string(m.code) + " " + m.text + " (" + std::to_string(m.class_id) +
           "," + std::to_string(m.method_id) + ")";
  }
  std::string operator()(const connection_close_ok&) const { return "close-ok"; }
  std::string operator()(const connection_blocked& m) const { return "blocked " + m.reason; }
  std::string operator()(const connection_unblocked&) const { return "unblocked"; }
  std::string operator()(const channel_open_ok& m) const { return on(m.channel) + "open-ok"; }
  std::string operator()(const channel_close& m) const {
    return on(m.channel) + "close " + std::to_string(m.code) + " " + m.text + " (" +
           std::to_string(m.class_id) + "," + std::to_string(m.method_id) + ")";
  }
  std::string operator()(const channel_close_ok& m) const { return on(m.channel) + "close-ok"; }
  std::string operator()(const channel_flow& m) const {
    return on(m.channel) + (m.active ? "flow on" : "flow off");
  }
  std::string operator()(const confirm_select_ok& m) const { return on(m.channel) + "select-ok"; }
  std::string operator()(const exchange_declare_ok& m) const {
    return on(m.channel) + "declare-ok";
  }
  std::string operator()(const basic_ack& m) const {
    return on(m.channel) + "ack " + std::to_string(m.tag) + (m.multiple ? " multiple" : "");
  }
  std::string operator()(const basic_nack& m) const {
    return on(m.channel) + "nack " + std::to_string(m.tag) + (m.multiple ? " multiple" : "");
  }
  std::string operator()(const basic_return& m) const {
    return on(m.channel) + "return " + std::to_string(m.code) + " " + m.text + " " + m.exchange +
           " " + m.routing_key + " " + m.message_id;
  }
  std::string operator()(const heartbeat&) const { return "heartbeat"; }

  static std::string on(channel_id channel) { return std::to_string(channel) + ": "; }
};

struct seen {
  std::vector<std::string> values;
  std::optional<protocol_error> error;
};

// Feeds pieces of `step` bytes to a decoder with channels 1 and 2 open.
seen feed(std::string_view bytes, std::size_t step = std::string::npos) {
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

std::vector<std::string> values(std::string_view bytes) {
  const seen s = feed(bytes);
  EXPECT_FALSE(s.error) << s.error->text;
  return s.values;
}

// "code text" of the protocol error; nothing may have been delivered.
std::string error(std::string_view bytes) {
  const seen s = feed(bytes);
  EXPECT_THAT(s.values, IsEmpty());
  return s.error ? std::to_string(s.error->code) + " " + s.error->text : "no error";
}

// ---- what a broker sends
// -----------------------------------------------------------------------------

constexpr char uuid_text[] = "0190b3a4-1c2d-7e4f-8a9b-0c1d2e3f4a5b";

std::string field(std::string_view name, char tag, std::string_view data) {
  return wire::short_string(name) + tag + std::string(data);
}
std::string flag(std::string_view name, bool on = true) {
  return field(name, 't', on ? "\1" : std::string_view("\0", 1));
}

std::string start_with(std::string_view properties) {
  return wire::a_method(0, 10, 10,
                        std::string("\0\x09", 2) + wire::long_string(properties) +
                            wire::long_string("PLAIN  AMQPLAIN") + wire::long_string("en_US"));
}

std::string a_start() {
  const std::string capabilities = flag("publisher_confirms") + flag("connection.blocked") +
                                   flag("authentication_failure_close") + flag("basic.nack", false);
  return start_with(field("product", 'S', wire::long_string("RabbitMQ")) +
                    field("version", 'S', wire::long_string("3.10.8")) +
                    field("cluster_name", 'S', wire::long_string("rabbit@host")) +
                    field("capabilities", 'F', wire::long_string(capabilities)));
}

std::string a_close(int channel, int class_id, std::string_view text) {
  return wire::a_method(
      channel, class_id, class_id == 10 ? 50 : 40,
      wire::number(404, 2) + wire::short_string(text) + wire::number(60, 2) + wire::number(40, 2));
}

std::string an_ack(int channel, std::uint64_t tag, bool multiple) {
  return wire::a_method(channel, 60, 80, wire::number(tag, 8) + wire::number(multiple, 1));
}
std::string a_nack(int channel, std::uint64_t tag, int bits) {
  return wire::a_method(channel, 60, 120,
                        wire::number(tag, 8) + wire::number(static_cast<std::uint64_t>(bits), 1));
}

std::string a_return_method(int channel) {
  return wire::a_method(channel, 60, 50,
                        wire::number(312, 2) + wire::short_string("NO_ROUTE") +
                            wire::short_string("ex") + wire::short_string("rk"));
}
constexpr int returned_flags = 1 << 15 | 1 << 13 | 1 << 12 | 1 << 7;
std::string returned_properties(std::string_view headers = {}) {
  return wire::short_string("text/plain") + wire::long_string(headers) + "\x02" +
         wire::short_string(uuid_text);
}
std::string a_return(int channel, std::string_view body) {
  std::string bytes =
      a_return_method(channel) +
      wire::a_content_header(channel, body.size(), returned_flags,
                             returned_properties(field("x-outbox-id", 'l', wire::number(1, 8))));
  const std::size_t half = body.size() / 2;
  if (half > 0) bytes += wire::a_frame(3, channel, body.substr(0, half));
  if (!body.empty()) bytes += wire::a_frame(3, channel, body.substr(half));
  return bytes;
}

std::string a_conversation() {
  return a_start() +
         wire::a_method(0, 10, 30,
                        wire::number(2047, 2) + wire::number(131'072, 4) + wire::number(60, 2)) +
         wire::a_method(0, 10, 41, wire::short_string("")) +
         wire::a_method(1, 20, 11, wire::long_string("")) + wire::a_method(1, 85, 11) +
         wire::a_frame(8, 0, "") + an_ack(1, 1, false) + a_return(1, "body") + a_nack(1, 2, 1) +
         a_close(1, 20, "NOT_FOUND") + a_close(0, 10, "bye");
}

// ---- tests
// -------------------------------------------------------------------------------------------

TEST(decoder, start_tells_mechanisms_and_capabilities) {
  EXPECT_THAT(
      values(a_start()),
      ElementsAre(
          "start PLAIN AMQPLAIN; RabbitMQ 3.10.8 rabbit@host; blocked auth-close confirms"));
}

TEST(decoder, server_properties_may_be_of_any_type) {
  const std::string odd =
      field("product", 'l', wire::number(1, 8)) + field("version", 'F', wire::long_string("")) +
      field("capabilities", 'S', wire::long_string("x")) + field("a", 'b', "x") +
      field("c", 'B', "x") + field("d", 's', "xx") + field("e", 'u', "xx") +
      field("f", 'I', "xxxx") + field("g", 'i', "xxxx") + field("h", 'L', "xxxxxxxx") +
      field("i", 'f', "xxxx") + field("j", 'd', "xxxxxxxx") + field("k", 'D', "xxxxx") +
      field("l", 'T', "xxxxxxxx") + field("m", 'V', "") +
      field("n", 'x', wire::long_string("bytes")) +
      field("o", 'A', wire::long_string("t\1A" + wire::long_string("V")));
  EXPECT_THAT(values(start_with(odd)), ElementsAre("start PLAIN AMQPLAIN;   ;"));
}

TEST(decoder, the_rest_of_the_handshake_arrives) {
  EXPECT_THAT(
      values(wire::a_method(0, 10, 20, wire::long_string("challenge")) +
             wire::a_method(0, 10, 30,
                            wire::number(7, 2) + wire::number(4096, 4) + wire::number(15, 2)) +
             wire::a_method(0, 10, 41, wire::short_string("")) +
             wire::a_method(1, 20, 11, wire::long_string("")) + wire::a_method(1, 85, 11) +
             wire::a_method(2, 40, 11)),
      ElementsAre("secure challenge", "tune 7 4096 15", "open-ok", "1: open-ok", "1: select-ok",
                  "2: declare-ok"));
}

TEST(decoder, closing_blocking_and_flow_arrive) {
  EXPECT_THAT(values(a_close(1, 20, "NOT_FOUND - no exchange") + wire::a_method(2, 20, 41) +
                     a_close(0, 10, "bye") + wire::a_method(0, 10, 51) +
                     wire::a_method(0, 10, 60, wire::short_string("low on memory")) +
                     wire::a_method(0, 10, 61) + wire::a_method(1, 20, 20, std::string(1, '\0')) +
                     wire::a_method(1, 20, 20, "\1") + wire::a_frame(8, 0, "")),
              ElementsAre("1: close 404 NOT_FOUND - no exchange (60,40)", "2: close-ok",
                          "close 404 bye (60,40)", "close-ok", "blocked low on memory", "unblocked",
                          "1: flow off", "1: flow on", "heartbeat"));
}

TEST(decoder, acks_and_nacks_arrive_with_their_bits) {
  EXPECT_THAT(
      values(an_ack(1, 1, false) + an_ack(2, UINT64_MAX, true) + a_nack(1, 5, 1) + a_nack(1, 6, 2)),
      ElementsAre("1: ack 1", "2: ack 18446744073709551615 multiple", "1: nack 5 multiple",
                  "1: nack 6"));
}

TEST(decoder, return_is_delivered_once_its_body_is_complete) {
  for (const char* body : {"", "a", "some body"})
    EXPECT_THAT(values(a_return(1, body) + an_ack(1, 1, false)),
                ElementsAre(std::string("1: return 312 NO_ROUTE ex rk ") + uuid_text, "1: ack 1"));
  const std::string all = a_return(1, "body");
  EXPECT_THAT(values(all.substr(0, all.size() - 1)), IsEmpty());
}

TEST(decoder, return_without_message_id_has_an_empty_one) {
  EXPECT_THAT(values(a_return_method(1) + wire::a_content_header(1, 0, 0, "")),
              ElementsAre("1: return 312 NO_ROUTE ex rk "));
}

TEST(decoder, contents_of_two_channels_may_interleave) {
  EXPECT_THAT(values(a_return_method(1) + a_return_method(2) +
                     wire::a_content_header(2, 2, returned_flags, returned_properties()) +
                     wire::a_content_header(1, 1, 0, "") + wire::a_frame(8, 0, "") +
                     wire::a_frame(3, 2, "x") + wire::a_frame(3, 1, "x") + an_ack(1, 9, false) +
                     wire::a_frame(3, 2, "x")),
              ElementsAre("heartbeat", "1: return 312 NO_ROUTE ex rk ", "1: ack 9",
                          std::string("2: return 312 NO_ROUTE ex rk ") + uuid_text));
}

TEST(decoder, pieces_of_any_size_mean_the_same) {
  const std::string bytes = a_conversation();
  const auto whole = values(bytes);
  EXPECT_EQ(whole.size(), 11u);
  for (std::size_t step = 1; step < 40; ++step) {
    const seen s = feed(bytes, step);
    EXPECT_FALSE(s.error);
    EXPECT_EQ(s.values, whole) << "in pieces of " << step;
  }
}

TEST(decoder, broker_texts_become_printable_utf8) {
  EXPECT_THAT(values(a_close(1, 20, "a\nb\x1B[31m \xC3\xA9 cut \xC3")),
              ElementsAre("1: close 404 a b [31m \xC3\xA9 cut ? (60,40)"));
  EXPECT_THAT(values(a_close(1, 20, "\xC0\x80 \xED\xA0\x80 \xF5")),
              ElementsAre("1: close 404 ?? ??? ? (60,40)"));
}

TEST(decoder, the_sink_may_open_and_close_channels) {
  decoder d;
  d.open_channel(1);
  std::vector<std::string> seen_values;
  const auto sink = [&](incoming&& value) {
    seen_values.push_back(std::visit(describe{}, value));
    if (std::holds_alternative<basic_return>(value)) {
      d.close_channel(1);
      for (channel_id c = 2; c < 50; ++c) d.open_channel(c);
    }
  };
  EXPECT_FALSE(d.feed(a_return(1, "") + an_ack(49, 1, false), sink));
  EXPECT_THAT(seen_values, ElementsAre(HasSubstr("1: return"), "49: ack 1"));
  EXPECT_EQ(d.feed(an_ack(1, 1, false), sink)->code, 504);
}

TEST(decoder, a_channel_opened_again_starts_afresh) {
  decoder d;
  d.open_channel(1);
  int count = 0;
  const auto sink = [&](incoming&&) { ++count; };
  EXPECT_FALSE(d.feed(a_return_method(1), sink));
  d.close_channel(1);
  d.open_channel(1);
  EXPECT_FALSE(d.feed(an_ack(1, 1, false), sink));
  EXPECT_EQ(count, 1);
}

TEST(decoder, frame_max_counts_the_whole_frame) {
  const std::string reason(255, 'x');
  const std::string fits = wire::a_frame(3, 1, std::string(131'072 - 8, 'x'));
  EXPECT_THAT(error(fits), HasSubstr("505"));  // out of place, not too long
  EXPECT_THAT(error(wire::a_frame(3, 1, std::string(131'072 - 7, 'x'))),
              HasSubstr("501 a frame of 131065 bytes"));
  decoder d;
  d.set_frame_max(4096);
  const auto sink = [](incoming&&) {};
  EXPECT_EQ(d.feed(wire::a_frame(1, 0, std::string(4096 - 7, 'x')), sink)->code, 501);
}

TEST(decoder, an_oversize_frame_is_refused_by_its_header_alone) {
  EXPECT_THAT(error("\1" + wire::number(0, 2) + wire::number(0xFFFF'FFFF, 4)), HasSubstr("501"));
  EXPECT_THAT(error("\1" + wire::number(0, 2) + wire::number(0x7FFF'FFF8, 4)), HasSubstr("501"));
}

TEST(decoder, other_protocols_are_named) {
  EXPECT_THAT(error(std::string("AMQP\0\3\1\0", 8)), HasSubstr("does not speak AMQP 0-9-1"));
  EXPECT_THAT(error("HTTP/1.1 400 Bad Request\r\n"), HasSubstr("HTTP"));
  EXPECT_THAT(error(std::string("\x15\x03\x03\0\x02\x02\x46", 7)), HasSubstr("amqps://"));
}

TEST(decoder, malformed_frames_end_the_connection) {
  std::string no_end = an_ack(1, 1, false);
  no_end.back() = 'x';
  EXPECT_THAT(error(no_end), HasSubstr("501 a frame without its end octet"));
  EXPECT_THAT(error(wire::a_frame(4, 0, "")), HasSubstr("501 not an AMQP frame (type 4)"));
  EXPECT_THAT(error(wire::a_frame(0, 0, "")), HasSubstr("501"));
  EXPECT_THAT(error(wire::a_frame(8, 1, "")), HasSubstr("501 a malformed heartbeat"));
  EXPECT_THAT(error(wire::a_frame(8, 0, "x")), HasSubstr("501 a malformed heartbeat"));
  for (std::size_t size = 0; size < 4; ++size)
    EXPECT_THAT(error(wire::a_frame(1, 1, std::string(size, 'x'))),
                HasSubstr("501 a method frame without a method"));
}

TEST(decoder, channels_that_are_not_open_end_the_connection) {
  EXPECT_THAT(error(an_ack(3, 1, false)), HasSubstr("504 a frame on channel 3, which is not open"));
  EXPECT_THAT(error(wire::a_frame(2, 3, "")), HasSubstr("504"));
  EXPECT_THAT(error(wire::a_frame(3, 65'535, "")), HasSubstr("504"));
  EXPECT_THAT(error(wire::a_method(1, 10, 41, wire::short_string(""))), HasSubstr("503"));
  EXPECT_THAT(error(an_ack(0, 1, false)), HasSubstr("504"));
}

TEST(decoder, methods_a_publisher_never_gets_end_the_connection) {
  EXPECT_THAT(
      error(wire::a_method(1, 60, 60,
                           wire::short_string("c") + wire::number(1, 8) + wire::number(0, 1) +
                               wire::short_string("") + wire::short_string(""))),
      HasSubstr("503 unexpected AMQP_BASIC_DELIVER_METHOD"));
  EXPECT_THAT(error(wire::a_method(1, 60, 40,
                                   wire::number(0, 2) + wire::short_string("") +
                                       wire::short_string("") + wire::number(0, 1))),
              HasSubstr("503"));
  EXPECT_THAT(error(wire::a_method(0, 10, 31, wire::number(0, 8))), HasSubstr("503"));
  EXPECT_THAT(error(wire::a_method(1, 99, 1)), HasSubstr("503 unknown method 99.1"));
}

TEST(decoder, methods_cut_short_end_the_connection) {
  for (const std::string& whole :
       {a_start(), an_ack(1, 1, false), a_nack(1, 1, 0), a_return_method(1), a_close(1, 20, "text"),
        a_close(0, 10, "text"), wire::a_method(0, 10, 30, wire::number(0, 8)),
        wire::a_method(0, 10, 60, wire::short_string("reason")),
        wire::a_method(0, 10, 20, wire::long_string("c")), wire::a_method(1, 20, 20, "\1")}) {
    const auto f = wire::frames(whole).at(0);
    for (std::size_t size = 4; size < f.payload.size(); ++size)
      EXPECT_THAT(error(wire::a_frame(1, f.channel, f.payload.substr(0, size))),
                  HasSubstr("502 malformed"));
  }
}

TEST(decoder, contents_out_of_place_end_the_connection) {
  const std::string header = wire::a_content_header(1, 1, 0, "");
  EXPECT_THAT(error(header), HasSubstr("505"));
  EXPECT_THAT(error(wire::a_frame(3, 1, "x")), HasSubstr("505"));
  EXPECT_THAT(error(wire::a_frame(2, 0, "x")), HasSubstr("505"));
  EXPECT_THAT(error(wire::a_frame(3, 0, "x")), HasSubstr("505"));
  EXPECT_THAT(error(a_return_method(1) + an_ack(1, 1, false)),
              HasSubstr("505 a method inside a content"));
  EXPECT_THAT(error(a_return_method(1) + wire::a_frame(3, 1, "x")), HasSubstr("505"));
  EXPECT_THAT(error(a_return_method(1) + header + header), HasSubstr("505"));
  EXPECT_THAT(error(a_return_method(1) + header + wire::a_frame(3, 1, "xy")),
              HasSubstr("501 more content"));
}

TEST(decoder, malformed_properties_end_the_connection) {
  const auto with = [](int flags, std::string_view properties) {
    return error(a_return_method(1) + wire::a_content_header(1, 0, flags, properties));
  };
  EXPECT_THAT(error(a_return_method(1) + wire::a_frame(2, 1, std::string(13, '\0'))),
              HasSubstr("501 a content header cut short"));
  EXPECT_THAT(error(a_return_method(1) + wire::a_frame(2, 1, std::string(14, '\0'))),
              HasSubstr("501 a content header of another class"));
  EXPECT_THAT(with(1, wire::number(0, 2)), HasSubstr("502"));
  EXPECT_THAT(with(1 << 15, ""), HasSubstr("502"));
  EXPECT_THAT(with(1 << 7, "\xFFshort"), HasSubstr("502"));
  EXPECT_THAT(with(1 << 13, wire::number(5, 4) + "abcd"), HasSubstr("502"));
  EXPECT_THAT(with(1 << 13, wire::number(0xFFFF'FFFF, 4)), HasSubstr("502"));
  EXPECT_THAT(with(1 << 13, wire::long_string(field("a", 'S', wire::number(0xFFFF'FFF0, 4)))),
              HasSubstr("502"));
  EXPECT_THAT(with(1 << 13, wire::long_string(field("a", '?', "xxxx"))), HasSubstr("502"));
  // A nested table that reaches beyond the one it is in.
  EXPECT_THAT(with(1 << 13 | 1 << 7, wire::long_string(field("a", 'F', wire::number(20, 4))) +
                                         wire::short_string(uuid_text)),
              HasSubstr("502"));
}

TEST(decoder, tables_nested_by_the_thousand_do_not_exhaust_the_stack) {
  std::string tables, arrays;
  for (int i = 0; i < 10'000; ++i) {
    tables = field("", 'F', wire::long_string(tables));
    arrays = "A" + wire::long_string(arrays);
  }
  EXPECT_THAT(error(start_with(tables)), HasSubstr("502 malformed table"));
  EXPECT_THAT(error(start_with(field("a", 'A', wire::long_string(arrays)))),
              HasSubstr("502 malformed table"));
}

TEST(decoder, what_we_send_at_the_deepest_comes_back_in_a_return) {
  std::string table = field("k", 't', "\1");
  for (int i = 1; i < 64; ++i) table = field("k", 'F', wire::long_string(table));
  EXPECT_THAT(values(a_return_method(1) +
                     wire::a_content_header(1, 0, returned_flags, returned_properties(table))),
              ElementsAre(HasSubstr(uuid_text)));
}

TEST(decoder, survives_random_damage) {
  const std::string sane = a_conversation();
  std::mt19937 random(20'240'501);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = sane;
    for (std::size_t n = 1 + below(3); n > 0; --n) {
      switch (below(3)) {
        case 0:
          bytes[below(bytes.size())] = static_cast<char>(below(256));
          break;
        case 1:
          bytes.erase(below(bytes.size()), 1 + below(4));
          break;
        default:
          bytes.insert(below(bytes.size()), 1 + below(4), static_cast<char>(below(256)));
          break;
      }
    }
    const std::size_t step = 1 + below(bytes.size());
    refused += feed(bytes, step).error.has_value();
  }
  EXPECT_GT(refused, 1000);
}

TEST(decoder, survives_damage_inside_sound_frames) {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const auto method = wire::frames(a_start()).at(0).payload;
  const auto header = wire::frames(a_return(1, "")).at(1).payload;
  for (int round = 0; round < 20'000; ++round) {
    std::string start = method, content = header;
    for (std::size_t n = 1 + below(4); n > 0; --n) {
      start[4 + below(start.size() - 4)] = static_cast<char>(below(256));
      content[12 + below(content.size() - 12)] = static_cast<char>(below(256));
    }
    feed(wire::a_frame(1, 0, start));
    feed(a_return_method(1) + wire::a_frame(2, 1, content));
  }
}

}  // namespace
}  // namespace outboxd::relay::amqp
