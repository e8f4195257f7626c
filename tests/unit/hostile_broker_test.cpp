#include <random>

#include "tests/unit/broker_bytes.hpp"

namespace outboxd::relay::amqp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(hostile_broker, frame_max_counts_the_whole_frame) {
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

TEST(hostile_broker, an_oversize_frame_is_refused_by_its_header_alone) {
  EXPECT_THAT(error("\1" + wire::number(0, 2) + wire::number(0xFFFF'FFFF, 4)), HasSubstr("501"));
  EXPECT_THAT(error("\1" + wire::number(0, 2) + wire::number(0x7FFF'FFF8, 4)), HasSubstr("501"));
}

TEST(hostile_broker, other_protocols_are_named) {
  EXPECT_THAT(error(std::string("AMQP\0\3\1\0", 8)), HasSubstr("does not speak AMQP 0-9-1"));
  EXPECT_THAT(error("HTTP/1.1 400 Bad Request\r\n"), HasSubstr("HTTP"));
  EXPECT_THAT(error(std::string("\x15\x03\x03\0\x02\x02\x46", 7)), HasSubstr("amqps://"));
}

TEST(hostile_broker, malformed_frames_end_the_connection) {
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

TEST(hostile_broker, channels_that_are_not_open_end_the_connection) {
  EXPECT_THAT(error(an_ack(3, 1, false)), HasSubstr("504 a frame on channel 3, which is not open"));
  EXPECT_THAT(error(wire::a_frame(2, 3, "")), HasSubstr("504"));
  EXPECT_THAT(error(wire::a_frame(3, 65'535, "")), HasSubstr("504"));
  EXPECT_THAT(error(wire::a_method(1, 10, 41, wire::short_string(""))), HasSubstr("503"));
  EXPECT_THAT(error(an_ack(0, 1, false)), HasSubstr("504"));
}

TEST(hostile_broker, methods_a_publisher_never_gets_end_the_connection) {
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

TEST(hostile_broker, methods_cut_short_end_the_connection) {
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

TEST(hostile_broker, contents_out_of_place_end_the_connection) {
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

TEST(hostile_broker, malformed_properties_end_the_connection) {
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

TEST(hostile_broker, tables_nested_by_the_thousand_do_not_exhaust_the_stack) {
  std::string tables, arrays;
  for (int i = 0; i < 10'000; ++i) {
    tables = field("", 'F', wire::long_string(tables));
    arrays = "A" + wire::long_string(arrays);
  }
  EXPECT_THAT(error(start_with(tables)), HasSubstr("502 malformed table"));
  EXPECT_THAT(error(start_with(field("a", 'A', wire::long_string(arrays)))),
              HasSubstr("502 malformed table"));
}

TEST(hostile_broker, what_we_send_at_the_deepest_comes_back_in_a_return) {
  std::string table = field("k", 't', "\1");
  for (int i = 1; i < 64; ++i) table = field("k", 'F', wire::long_string(table));
  EXPECT_THAT(values(a_return_method(1) +
                     wire::a_content_header(1, 0, returned_flags, returned_properties(table))),
              ElementsAre(HasSubstr(uuid_text)));
}

TEST(hostile_broker, survives_random_damage) {
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

TEST(hostile_broker, survives_damage_inside_sound_frames) {
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
