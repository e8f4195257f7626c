#include "relay/amqp/uri.hpp"

#include <gmock/gmock.h>

namespace outboxd::relay::amqp {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using namespace std::chrono_literals;

endpoint parse(std::string_view text) {
  auto nodes = parse_uris(text);
  if (!nodes) {
    ADD_FAILURE() << nodes.error().text;
    return {};
  }
  EXPECT_THAT(*nodes, SizeIs(1));
  return nodes->front();
}

std::string error(std::string_view text) {
  const auto nodes = parse_uris(text);
  if (nodes) return "accepted";
  EXPECT_EQ(nodes.error().kind, base::failure_kind::bad_input);
  EXPECT_THAT(nodes.error().text, Not(HasSubstr("\n")));
  return nodes.error().text;
}

TEST(uri, every_part_is_read) {
  const endpoint e = parse("amqp://user:pass@host:10000/vhost");
  EXPECT_FALSE(e.tls);
  EXPECT_EQ(e.user, "user");
  EXPECT_EQ(e.password, "pass");
  EXPECT_EQ(e.host, "host");
  EXPECT_EQ(e.port, 10'000);
  EXPECT_EQ(e.vhost, "vhost");
}

TEST(uri, what_is_absent_has_its_default) {
  const endpoint e = parse("amqp://");
  EXPECT_EQ(e.host, "localhost");
  EXPECT_EQ(e.port, 5672);
  EXPECT_EQ(e.user, "guest");
  EXPECT_EQ(e.password, "guest");
  EXPECT_EQ(e.vhost, "/");
  EXPECT_EQ(e.heartbeat, 15s);
  EXPECT_EQ(e.mechanism, auth::plain);
  EXPECT_EQ(parse("amqp://host:/").port, 5672);
  EXPECT_EQ(parse("amqp://:1234").host, "localhost");
}

TEST(uri, amqps_has_its_own_port_and_verifies) {
  const endpoint e = parse("AMQPS://broker.example/");
  EXPECT_TRUE(e.tls);
  EXPECT_EQ(e.port, 5671);
  EXPECT_TRUE(e.verify_peer);
  EXPECT_EQ(e.server_name, "broker.example");
  EXPECT_EQ(parse("amqp://broker.example/").server_name, "");
}

TEST(uri, a_host_name_with_delimiters_is_none) {
  // The last is no URI for newer versions of Boost.URL.
  for (const std::string host : {"a%3As", "us%40er", "a%2Fb", "a%20b", "%5B::1%5D"})
    EXPECT_THAT(error("amqp://" + host + "/"),
                AnyOf(HasSubstr("no host name"), HasSubstr("it is not a URI")))
        << host;
  EXPECT_EQ(parse("amqp://[::1]").host, "::1");
}

TEST(uri, an_absent_an_empty_and_an_encoded_vhost_are_the_same) {
  for (const char* text :
       {"amqp://host", "amqp://host/", "amqp://host/%2F", "amqp://host/%2f?heartbeat=1"})
    EXPECT_EQ(parse(text).vhost, "/") << text;
  EXPECT_EQ(parse("amqp://host/v%2fhost").vhost, "v/host");
  EXPECT_EQ(parse("amqp://host/%2Fprod").vhost, "/prod");
  EXPECT_THAT(error("amqp://host/a/b"), HasSubstr("%2F"));
  EXPECT_THAT(error("amqp://host//"), HasSubstr("%2F"));
  EXPECT_EQ(parse("amqp://host/" + std::string(255, 'v')).vhost.size(), 255u);
  EXPECT_THAT(error("amqp://host/" + std::string(256, 'v')), HasSubstr("255 bytes"));
}

TEST(uri, percent_encoding_is_undone) {
  const endpoint e = parse("amqp://us%61r%40x:p%2C%3A%2F%3F%23%40%25+ss@ho%61st:10000/v%C3%A9");
  EXPECT_EQ(e.user, "usar@x");
  EXPECT_EQ(e.password, "p,:/?#@%+ss");
  EXPECT_EQ(e.host, "hoast");
  EXPECT_EQ(e.vhost, "vé");
}

TEST(uri, a_user_without_a_password_has_an_empty_one) {
  EXPECT_EQ(parse("amqp://user@host").password, "");
  EXPECT_EQ(parse("amqp://user:@host").password, "");
  EXPECT_EQ(parse("amqp://:@host").user, "");
  EXPECT_EQ(parse("amqp://host").password, "guest");
}

TEST(uri, ipv6_hosts_are_in_brackets) {
  const endpoint e = parse("amqps://[::1]:100/");
  EXPECT_EQ(e.host, "::1");
  EXPECT_EQ(e.port, 100);
  EXPECT_EQ(e.server_name, "::1");
  EXPECT_EQ(e.redacted(), "amqps://guest:***@[::1]:100/%2F");
  EXPECT_EQ(parse("amqp://127.0.0.1").host, "127.0.0.1");
}

TEST(uri, commas_separate_the_nodes_of_a_cluster) {
  const auto nodes = parse_uris("amqp://a:1/,\n amqps://u:p@b/v , amqp://c");
  ASSERT_TRUE(nodes);
  ASSERT_THAT(*nodes, SizeIs(3));
  EXPECT_EQ((*nodes)[0].redacted(), "amqp://guest:***@a:1/%2F");
  EXPECT_EQ((*nodes)[1].redacted(), "amqps://u:***@b:5671/v");
  EXPECT_EQ((*nodes)[2].redacted(), "amqp://guest:***@c:5672/%2F");
}

TEST(uri, every_query_parameter_is_honoured) {
  const endpoint e = parse(
      "amqps://host/?cacertfile=/etc/ca+1.pem&certfile=%2Fetc%2Fcert.pem&keyfile=/etc/"
      "key.pem&verify=verify_none"
      "&server_name_indication=broker&auth_mechanism=external&heartbeat=60&connection_timeout=1500"
      "&channel_max=16&frame_max=8192");
  EXPECT_EQ(e.ca_file, "/etc/ca+1.pem");
  EXPECT_EQ(e.certificate_file, "/etc/cert.pem");
  EXPECT_EQ(e.key_file, "/etc/key.pem");
  EXPECT_FALSE(e.verify_peer);
  EXPECT_EQ(e.server_name, "broker");
  EXPECT_EQ(e.mechanism, auth::external);
  EXPECT_EQ(e.heartbeat, 60s);
  EXPECT_EQ(e.connection_timeout, 1500ms);
  EXPECT_EQ(e.channel_max, 16);
  EXPECT_EQ(e.frame_max, 8192u);
}

TEST(uri, mechanisms_may_be_written_in_any_case) {
  EXPECT_EQ(parse("amqp://h?auth_mechanism=PLAIN").mechanism, auth::plain);
  EXPECT_EQ(parse("amqp://h?auth_mechanism=AmqPlain").mechanism, auth::amqplain);
  EXPECT_EQ(parse("amqp://h?auth_mechanism=EXTERNAL").mechanism, auth::external);
  EXPECT_THAT(error("amqp://h?auth_mechanism=rabbit_cr_demo"),
              HasSubstr("plain, amqplain or external"));
}

TEST(uri, numbers_have_limits) {
  EXPECT_EQ(parse("amqp://h?heartbeat=0").heartbeat, 0s);
  EXPECT_EQ(parse("amqp://h?frame_max=0").frame_max, 0u);
  EXPECT_EQ(parse("amqp://h?frame_max=4096").frame_max, 4096u);
  EXPECT_EQ(parse("amqp://h?channel_max=0").channel_max, 0);
  for (const char* query :
       {"heartbeat=65536", "heartbeat=-1", "heartbeat=", "heartbeat=15s", "heartbeat=1.5",
        "connection_timeout=0", "connection_timeout=x", "channel_max=65536", "channel_max=1",
        "frame_max=4095", "frame_max=4294967296", "frame_max=+8192"})
    EXPECT_THAT(error(std::string("amqp://h?") + query), HasSubstr(std::string(query).substr(0, 7)))
        << query;
}

TEST(uri, a_certificate_file_may_hold_the_key_too) {
  EXPECT_EQ(parse("amqps://h?certfile=both.pem").key_file, "both.pem");
  EXPECT_THAT(error("amqps://h?keyfile=key.pem"), HasSubstr("needs certfile"));
}

TEST(uri, tls_parameters_need_amqps) {
  for (const char* query : {"cacertfile=x", "certfile=x", "keyfile=x", "verify=verify_peer",
                            "server_name_indication=x"})
    EXPECT_THAT(error(std::string("amqp://h?") + query), HasSubstr("needs amqps://")) << query;
}

TEST(uri, bad_parameters_are_refused_with_what_is_known) {
  EXPECT_THAT(
      error("amqp://h?heartbeet=5"),
      AllOf(HasSubstr("\"heartbeet\""), HasSubstr("heartbeat"), HasSubstr("connection_timeout")));
  EXPECT_THAT(error("amqp://h?heartbeat=5&heartbeat=6"), HasSubstr("given twice"));
  EXPECT_THAT(error("amqps://h?verify=none"), HasSubstr("verify_none"));
  EXPECT_THAT(error("amqps://h?cacertfile="), HasSubstr("empty"));
  EXPECT_THAT(error("amqps://h?certfile=c&password=geheim"),
              AllOf(HasSubstr("not supported"), Not(HasSubstr("geheim"))));
}

TEST(uri, what_is_not_a_uri_is_refused) {
  for (const char* text : {"",
                           " ",
                           "localhost",
                           "localhost:5672",
                           "http://host/",
                           "amqp:host",
                           "amqp:/host",
                           "amqp://host:port/",
                           "amqp://host:0/",
                           "amqp://host:5672x",
                           "amqp://user:pw",
                           "amqp://host:p",
                           "amqp://host:65536/",
                           "amqp://[::1/",
                           "amqp://h/%zz",
                           "amqp://h/#f",
                           "amqp://h o st/",
                           "amqp://u%00:p@h",
                           "amqp://u:p%00@h",
                           "amqp://h/%00",
                           "amqp://h%00/"})
    EXPECT_NE(error(text), "accepted") << text;
}

TEST(uri, errors_name_the_piece) {
  EXPECT_THAT(error("amqp://a,amqp://b?x=1,amqp://c"),
              HasSubstr("AMQP URI 2 of 3: unknown query parameter \"x\""));
  EXPECT_THAT(error("amqp://a,"), HasSubstr("AMQP URI 2 of 2: it is empty"));
  EXPECT_THAT(error("amqp://a:b"), testing::StartsWith("the AMQP URI: "));
}

TEST(uri, errors_explain_commas_and_never_quote_a_password) {
  for (const char* password :
       {"geheim,hunter2", "1,hunter2", "1?hunter2", "1/hunter2", "1#hunter2", "geheim@hunter2/x",
        "geheim hunter2", "1?a=hunter2", "1?hunter2=1&heartbeat=1", "%hunter2", "hunter2%00",
        "1,b:hunter2", "1?heartbeat=hunter2"}) {
    const std::string text = error(std::string("amqp://user:") + password + "@host/");
    EXPECT_NE(text, "accepted") << password;
    EXPECT_THAT(text, AllOf(Not(HasSubstr("hunter2")), Not(HasSubstr("geheim"))));
  }
  EXPECT_THAT(error("amqp://user:a,b@host/"), HasSubstr("a comma is %2C"));
}

TEST(uri, redacted_form_can_be_read_back_but_for_the_password) {
  const endpoint e = parse("amqps://us%40er:secret@h%C3%B6st:1/v%2Fh?heartbeat=1");
  EXPECT_EQ(e.redacted(), "amqps://us%40er:***@h%C3%B6st:1/v%2Fh");
  EXPECT_EQ(parse("amqp://u:p%40@h").redacted(), "amqp://u:***@h:5672/%2F");
}

}  // namespace
}  // namespace outboxd::relay::amqp
