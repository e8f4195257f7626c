#include "tests/unit/broker_bytes.hpp"

namespace outboxd::relay::amqp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(decoder, start_tells_mechanisms_and_capabilities) {
  EXPECT_THAT(values(a_start()),
              ElementsAre("start PLAIN AMQPLAIN; RabbitMQ 3.10.8 rabbit@host; confirms"));
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
      ElementsAre("secure", "tune 7 4096 15", "open-ok", "1: open-ok", "1: select-ok",
                  "2: declare-ok"));
}

TEST(decoder, closing_blocking_and_flow_arrive) {
  EXPECT_THAT(values(a_close(1, 20, "NOT_FOUND - no exchange") + wire::a_method(2, 20, 41) +
                     a_close(0, 10, "bye") + wire::a_method(0, 10, 51) +
                     wire::a_method(0, 10, 60, wire::short_string("low on memory")) +
                     wire::a_method(0, 10, 61) + wire::a_method(1, 20, 20, std::string(1, '\0')) +
                     wire::a_method(1, 20, 20, "\1") + wire::a_frame(8, 0, "")),
              ElementsAre("1: close 404 NOT_FOUND - no exchange", "2: close-ok", "close 404 bye",
                          "close-ok", "blocked low on memory", "unblocked", "1: flow off",
                          "1: flow on", "heartbeat"));
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
              ElementsAre("1: close 404 a b [31m \xC3\xA9 cut ?"));
  EXPECT_THAT(values(a_close(1, 20, "\xC0\x80 \xED\xA0\x80 \xF5")),
              ElementsAre("1: close 404 ?? ??? ?"));
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

}  // namespace
}  // namespace outboxd::relay::amqp
