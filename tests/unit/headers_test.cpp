#include "tests/unit/published.hpp"

namespace outboxd::relay::amqp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;

std::string header_refusal(const std::string& json) {
  auto row = a_row();
  row.headers = json;
  return refusal(row);
}

// An object with `levels` levels in all, objects and arrays in turn below the first.
std::string nested(std::size_t levels) {
  std::string json = "1";
  for (std::size_t i = 1; i < levels; ++i) {
    json.insert(0, i % 2 ? "[" : "{\"k\":");
    json += i % 2 ? "]" : "}";
  }
  return "{\"top\":" + json + "}";
}

TEST(headers, each_json_type_has_its_amqp_type) {
  const auto p = publish_headers(
      R"({"s":"é\n\u20ac","i":-7,"d":0.1,"t":true,"f":false,"n":null,"o":{"a":{"b":1}},"a":[1,"x",[null],{"k":2}]})");
  const auto& h = p.headers;
  EXPECT_EQ(h.at("s").tag, 'S');
  EXPECT_EQ(h.at("s").text(), "é\n€");
  EXPECT_EQ(h.at("i").tag, 'l');
  EXPECT_EQ(h.at("i").integer(), -7);
  EXPECT_EQ(h.at("d").tag, 'd');
  EXPECT_EQ(h.at("d").real(), 0.1);
  EXPECT_TRUE(h.at("t").boolean());
  EXPECT_FALSE(h.at("f").boolean());
  EXPECT_EQ(h.at("n").tag, 'V');
  EXPECT_EQ(h.at("o").fields().at("a").fields().at("b").integer(), 1);
  const auto& a = h.at("a").items();
  ASSERT_EQ(a.size(), 4u);
  EXPECT_EQ(a[0].integer(), 1);
  EXPECT_EQ(a[1].text(), "x");
  EXPECT_EQ(a[2].items().at(0).tag, 'V');
  EXPECT_EQ(a[3].fields().at("k").integer(), 2);
  EXPECT_EQ(h.at("x-outbox-id").integer(), 42);
}

TEST(headers, empty_containers_and_names_survive) {
  const auto h = publish_headers(R"({"":"","o":{},"a":[]})").headers;
  EXPECT_EQ(h.at("").text(), "");
  EXPECT_TRUE(h.at("o").fields().empty());
  EXPECT_TRUE(h.at("a").items().empty());
  EXPECT_THAT(publish_headers("{}").headers, ElementsAre(Key("x-outbox-id")));
}

TEST(headers, integers_reach_both_ends_of_int64) {
  const auto h =
      publish_headers(R"({"max":9223372036854775807,"min":-9223372036854775808,"zero":-0})")
          .headers;
  EXPECT_EQ(h.at("max").integer(), INT64_MAX);
  EXPECT_EQ(h.at("min").integer(), INT64_MIN);
  EXPECT_EQ(h.at("zero").integer(), 0);
}

TEST(headers, integers_beyond_int64_are_refused_not_rounded) {
  for (const char* number : {"9223372036854775808", "-9223372036854775809", "18446744073709551615",
                             "18446744073709551616", "100000000000000000000000000000000000000"})
    EXPECT_EQ(header_refusal(std::string(R"({"big":)") + number + "}"),
              "header \"big\": the integer does not fit 64 bits with a sign");
  EXPECT_NE(header_refusal(R"({"big":1)" + std::string(400, '0') + "}"), "accepted");
}

TEST(headers, a_number_written_with_a_point_or_an_exponent_is_a_double) {
  const auto h =
      publish_headers(
          R"({"a":1.0,"b":1e2,"c":0.30000000000000004,"d":1.7976931348623157e308,"e":5e-324,"f":-2.5E-3})")
          .headers;
  EXPECT_EQ(h.at("a").real(), 1.0);
  EXPECT_EQ(h.at("b").real(), 100.0);
  EXPECT_EQ(h.at("c").real(), 0.30000000000000004);
  EXPECT_EQ(h.at("d").real(), 1.7976931348623157e308);
  EXPECT_EQ(h.at("e").real(), 5e-324);
  EXPECT_EQ(h.at("f").real(), -0.0025);
}

TEST(headers, numbers_outside_the_double_range_are_refused) {
  for (const std::string& number : {std::string("1e400"), std::string("-1.5e309"),
                                    std::string("1e-400"), "1" + std::string(400, '0') + ".5"})
    EXPECT_THAT(header_refusal(R"({"a":{"big":)" + number + "}}"), HasSubstr("a.big")) << number;
}

TEST(headers, names_over_255_bytes_are_refused_at_any_level) {
  const std::string longest(255, 'n'), longer(256, 'n');
  EXPECT_EQ(publish_headers(("{\"" + longest + "\":1}").c_str()).headers.count(longest), 1u);
  EXPECT_THAT(header_refusal("{\"" + longer + "\":1}"), HasSubstr("over 255 bytes"));
  EXPECT_THAT(header_refusal("{\"outer\":[{\"" + longer + "\":1}]}"),
              testing::AllOf(HasSubstr("outer."), HasSubstr("over 255 bytes")));
}

TEST(headers, a_refusal_never_cuts_a_character) {
  std::string name;
  for (int i = 0; i < 200; ++i) name += "é";
  const std::string text = header_refusal("{\"" + name + "\":1}");
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\xC3') {
      EXPECT_EQ(text.at(i + 1), '\xA9');
    }
  }
}

TEST(headers, nesting_is_limited) {
  auto row = a_row();
  row.headers = nested(64);
  encode(row);
  EXPECT_THAT(header_refusal(nested(65)), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(header_refusal("{\"a\":" + std::string(30'000, '[')), HasSubstr("nested deeper"));
}

TEST(headers, routing_headers_must_be_arrays_of_strings) {
  EXPECT_EQ(publish_headers(R"({"CC":["a","b"],"BCC":[]})").headers.at("CC").items().size(), 2u);
  EXPECT_EQ(publish_headers(R"({"cc":1,"o":{"CC":1}})").headers.count("cc"), 1u);
  for (const char* json :
       {R"({"CC":"a"})", R"({"BCC":["a",1]})", R"({"CC":null})", R"({"BCC":{}})"})
    EXPECT_THAT(header_refusal(json), HasSubstr("array of strings"));
}

TEST(headers, the_relays_own_names_are_refused) {
  EXPECT_THAT(header_refusal(R"({"x-outbox-id":1})"), HasSubstr("x-outbox-id"));
  EXPECT_EQ(publish_headers(R"({"o":{"x-outbox-id":1}})").headers.count("o"), 1u);
}

TEST(headers, what_is_not_one_json_object_is_refused) {
  for (const char* json : {"null", "[]", "[{\"a\":1}]", "1", "\"s\"", "true"})
    EXPECT_EQ(header_refusal(json), "headers are not a JSON object") << json;
  for (const char* json :
       {"", "{", "{\"a\"}", "{\"a\":1}}", "{\"a\":1} x", "{\"a\":NaN}", "{\"a\":\"\xFF\"}"})
    EXPECT_NE(header_refusal(json), "accepted") << json;
}

TEST(headers, many_and_large_headers_leave_the_stack_buffer) {
  std::string json = "{";
  for (int i = 0; i < 1000; ++i)
    json += (i ? ",\"h" : "\"h") + std::to_string(i) + "\":[" + std::to_string(i) + "]";
  json += "}";
  const auto h = publish_headers(json.c_str()).headers;
  ASSERT_EQ(h.size(), 1001u);
  EXPECT_EQ(h.at("h999").items().at(0).integer(), 999);
}

}  // namespace
}  // namespace outboxd::relay::amqp
