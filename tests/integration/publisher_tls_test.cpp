// The publisher over TLS, against a scripted broker with certificates made for the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <string>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/scripted_broker.hpp"

namespace outboxd::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

void ack_one(broker_side& b) {
  b.handshake();
  b.take_publishes(1);
  b.ack(1);
  b.wait_for_the_end();
}

TEST(publisher_over_tls, publishes_to_a_broker_whose_certificate_it_trusts) {
  const authority ca("trusted");
  scripted_broker broker(ack_one, ca.certify("localhost"));
  publisher_driver p(broker.url("cacertfile=" + ca.file()));
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  const auto row = p.publish("", "q", std::string(300'000, 'x'));
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
  EXPECT_THAT(p.log.last("amqp.connected"), HasSubstr("tls=TLSv1.3"));
}

std::string first_refusal(publisher_driver& p) {
  p.start();
  EXPECT_TRUE(p.run_until([&] { return !p.log.lines("amqp.connect_failed").empty(); }));
  EXPECT_EQ(p.times_opened(), 0);
  return p.log.last("amqp.connect_failed");
}

TEST(publisher_over_tls, does_not_trust_an_unknown_authority) {
  const authority ca("unknown"), other("other");
  scripted_broker broker(ack_one, ca.certify("localhost"));
  for (const std::string& query : {std::string(), "cacertfile=" + other.file()}) {
    publisher_driver p(broker.url(query));
    EXPECT_THAT(first_refusal(p), HasSubstr("certificate cannot be trusted: "));
  }
}

TEST(publisher_over_tls, does_not_accept_a_certificate_for_another_name) {
  const authority ca("misnamed");
  scripted_broker broker(ack_one, ca.certify("rabbit.example"));
  publisher_driver p(broker.url("cacertfile=" + ca.file()));
  EXPECT_THAT(first_refusal(p), HasSubstr("certificate is not for localhost"));

  publisher_driver named(
      broker.url("cacertfile=" + ca.file() + "&server_name_indication=rabbit.example"));
  EXPECT_TRUE(named.start_and_open()) << named.log.text();
}

TEST(publisher_over_tls, tells_the_server_the_name_it_expects) {
  const authority ca("named");
  std::promise<std::string> asked_for;
  scripted_broker broker(
      [&](broker_side& b) {
        if (b.number() == 0) asked_for.set_value(b.server_name());
        ack_one(b);
      },
      ca.certify("localhost"));
  publisher_driver p(broker.url("cacertfile=" + ca.file()));
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  EXPECT_EQ(asked_for.get_future().get(), "localhost");
}

// OpenSSL would ask on the terminal, and hold up everything until somebody answers.
TEST(publisher_over_tls, says_that_its_key_has_a_password_instead_of_asking_for_it) {
  const authority ca("locked");
  const certificate own = ca.certify("client");
  scripted_broker broker(ack_one, ca.certify("localhost"));
  publisher_driver p(broker.url("cacertfile=" + ca.file() + "&certfile=" + own.chain_file +
                                "&keyfile=" + with_password(own)));
  EXPECT_THAT(first_refusal(p), AllOf(HasSubstr(own.key_file + ".locked has a password"),
                                      Not(HasSubstr("verysecret"))));
}

TEST(publisher_over_tls, reads_the_file_of_its_authority_again_for_every_attempt) {
  const authority old_ca("old"), new_ca("new");
  const std::filesystem::path trusted = scratch_directory() / "trusted.pem";
  std::filesystem::copy_file(old_ca.file(), trusted);
  scripted_broker broker(ack_one, new_ca.certify("localhost"));
  publisher_driver p(broker.url("cacertfile=" + trusted.string()));
  p.start();
  ASSERT_TRUE(p.run_until([&] { return !p.log.lines("amqp.connect_failed").empty(); }));
  std::filesystem::copy_file(new_ca.file(), trusted,
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(p.run_until([&] { return p.times_opened() > 0; })) << p.log.text();
}

TEST(publisher_over_tls, accepts_any_certificate_only_when_told_so) {
  const authority ca("unverified");
  scripted_broker broker(ack_one, ca.certify("rabbit.example"));
  publisher_driver p(broker.url("verify=verify_none"));
  EXPECT_TRUE(p.start_and_open()) << p.log.text();
}

TEST(publisher_over_tls, resets_a_connection_that_it_gives_up) {
  const authority ca("reset");
  std::atomic<bool> was_reset = false;
  scripted_broker broker(
      [&](broker_side& b) {
        b.handshake();
        if (b.number() > 0) return (void)b.wait_for_the_end();
        b.take_publishes(1);
        was_reset = b.wait_until_hung_up(20s) == how_it_ended::reset;
      },
      ca.certify("localhost"));
  auto o = publisher_driver::options(broker.url("cacertfile=" + ca.file()));
  o.confirm_timeout = 100ms;
  publisher_driver p(o);
  ASSERT_TRUE(p.start_and_open()) << p.log.text();
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "unknown timeout");
  EXPECT_TRUE(eventually(30s, [&] { return was_reset.load(); }));
}

}  // namespace
}  // namespace outboxd::tests
