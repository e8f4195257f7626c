#include "service/admin_guard.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outboxd::service {
namespace {

using testing::HasSubstr;

const std::optional<std::string> none, token = "0123456789abcdef";

unsigned status(const http_request& request, const std::optional<std::string>& wanted) {
  const auto refusal = refuse_stranger(request, wanted);
  return refusal ? refusal->status : 200;
}

http_request with_authorization(std::string_view value) {
  return {.method = "GET", .target = "/", .host = "outbox.example:9655", .authorization = value};
}

TEST(admin_guard, with_a_token_only_who_knows_it_is_let_in) {
  EXPECT_EQ(status(with_authorization("Bearer 0123456789abcdef"), token), 200u);
  EXPECT_EQ(status(with_authorization("bearer  0123456789abcdef"), token), 200u);
  for (const auto* wrong :
       {"", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0",
        "Bearer 0123456789ABCDEF", "Basic 0123456789abcdef", "0123456789abcdef"}) {
    const auto refusal = refuse_stranger(with_authorization(wrong), token);
    ASSERT_TRUE(refusal) << wrong;
    EXPECT_EQ(refusal->status, 401u);
    EXPECT_EQ(refusal->headers.at(0).first, "WWW-Authenticate");
    EXPECT_THAT(refusal->body, Not(HasSubstr("0123456789abcdef")));
  }
}

TEST(admin_guard, a_token_lets_in_under_any_name) {
  auto request = with_authorization("Bearer 0123456789abcdef");
  request.origin = "https://ops.example";
  request.fetch_site = "same-origin";
  EXPECT_EQ(status(request, token), 200u);
}

TEST(admin_guard, without_a_token_only_names_of_this_host_are_answered) {
  for (const auto* ours : {"localhost", "localhost:9655", "LocalHost:1", "127.0.0.1:9655",
                           "127.1.2.3", "[::1]:9655", "[::1]"})
    EXPECT_EQ(status({.host = ours}, none), 200u) << ours;
  for (const auto* foreign :
       {"", "evil.example", "evil.example:9655", "localhost.evil.example", "10.0.0.1:9655",
        "127.0.0.1.evil.example", "[::2]:9655", "[", "[::1", "::1", ":9655"})
    EXPECT_EQ(status({.host = foreign}, none), 421u) << foreign;
}

TEST(admin_guard, without_a_token_pages_of_other_sites_are_not_answered) {
  const auto asked = [](std::string_view origin, std::string_view site) {
    return status({.host = "127.0.0.1:9655", .origin = origin, .fetch_site = site}, none);
  };
  EXPECT_EQ(asked("", ""), 200u) << "a program";
  EXPECT_EQ(asked("", "none"), 200u) << "typed by a person";
  EXPECT_EQ(asked("http://127.0.0.1:9655", "same-origin"), 200u) << "our page";
  EXPECT_EQ(asked("http://evil.example", ""), 403u);
  EXPECT_EQ(asked("http://127.0.0.1:8080", ""), 403u) << "another service of this host";
  EXPECT_EQ(asked("https://127.0.0.1:9655", ""), 403u);
  EXPECT_EQ(asked("null", ""), 403u);
  EXPECT_EQ(asked("", "cross-site"), 403u);
  EXPECT_EQ(asked("", "same-site"), 403u);
}

TEST(admin_guard, secrets_are_the_same_or_not_whatever_their_length) {
  EXPECT_TRUE(same_secret("", ""));
  EXPECT_TRUE(same_secret("a", "a"));
  EXPECT_FALSE(same_secret("a", ""));
  EXPECT_FALSE(same_secret("a", std::string(1'000, 'a')));
}

}  // namespace
}  // namespace outboxd::service
