#include "relay/key_filter.hpp"

#include <gtest/gtest.h>

#include <string>

namespace outboxd::relay {
namespace {

std::string key(int n) {
  return "order-" + std::to_string(n);
}

TEST(key_filter, an_empty_one_contains_nothing) {
  const key_filter filter;
  EXPECT_TRUE(filter.empty());
  EXPECT_FALSE(filter.may_contain("k"));
}

TEST(key_filter, what_is_in_it_is_always_found) {
  key_filter filter(3);
  for (int n = 0; n < 100'000; ++n) filter.insert(key(n));
  EXPECT_FALSE(filter.empty());
  for (int n = 0; n < 100'000; ++n) ASSERT_TRUE(filter.may_contain(key(n))) << key(n);
}

TEST(key_filter, of_a_hundred_thousand_keys_few_others_are_taken_for_one) {
  key_filter filter;
  for (int n = 0; n < 100'000; ++n) filter.insert(key(n));
  int mistaken = 0;
  for (int n = 100'000; n < 200'000; ++n) mistaken += filter.may_contain(key(n)) ? 1 : 0;
  EXPECT_LE(mistaken, 20);
}

TEST(key_filter, cleared_it_contains_nothing_and_can_be_used_again) {
  key_filter filter;
  filter.insert("a");
  filter.clear(1);
  EXPECT_TRUE(filter.empty());
  EXPECT_FALSE(filter.may_contain("a"));
  filter.insert("b");
  EXPECT_TRUE(filter.may_contain("b"));
  EXPECT_FALSE(filter.may_contain("a"));
}

TEST(key_filter, with_another_salt_other_keys_are_mistaken) {
  const auto mistaken_for_others = [](std::uint64_t salt) {
    key_filter filter(salt);
    for (int n = 0; n < 1'000'000; ++n) filter.insert(key(n));
    std::string mistaken;
    for (int n = 1'000'000; n < 1'001'000; ++n) mistaken += filter.may_contain(key(n)) ? '1' : '0';
    return mistaken;
  };
  EXPECT_NE(mistaken_for_others(1), mistaken_for_others(2));
}

TEST(key_filter, the_empty_key_is_a_key) {
  key_filter filter;
  filter.insert("");
  EXPECT_TRUE(filter.may_contain(""));
}

}  // namespace
}  // namespace outboxd::relay
