// What load_pauses() promises. See store_contract.hpp.
#pragma once

#include <gmock/gmock.h>

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

TEST_P(store_contract, nothing_is_paused_until_somebody_says_so) {
  EXPECT_THAT(load_pauses(), testing::IsEmpty());
}

TEST_P(store_contract,
       pauses_are_told_with_their_scope_and_reason_in_the_order_in_which_they_began) {
  world().pause({"orders", std::nullopt}, "the consumer is being mended");
  world().pause({std::nullopt, "user 7"}, "");
  world().pause({}, "all of it");
  const auto told = load_pauses();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[0].scope, (outbox::pause_scope{"orders", std::nullopt}));
  EXPECT_EQ(told[0].reason, "the consumer is being mended");
  EXPECT_FALSE(told[0].by.empty());
  EXPECT_FALSE(told[0].ends_in);
  EXPECT_EQ(told[1].scope, (outbox::pause_scope{std::nullopt, "user 7"}));
  EXPECT_EQ(told[2].scope, outbox::pause_scope{});
}

TEST_P(store_contract, the_default_exchange_is_a_scope_of_its_own_and_not_everything) {
  world().pause({"", std::nullopt}, "");
  ASSERT_EQ(load_pauses().size(), 1u);
  EXPECT_EQ(load_pauses()[0].scope.exchange, "");
  world().resume({});
  EXPECT_EQ(load_pauses().size(), 1u);
  world().resume({"", std::nullopt});
  EXPECT_THAT(load_pauses(), testing::IsEmpty());
}

TEST_P(store_contract, a_pause_says_how_long_it_still_lasts_and_is_not_told_after_its_end) {
  world().pause({}, "for an hour", std::chrono::hours(1));
  const auto told = load_pauses();
  ASSERT_EQ(told.size(), 1u);
  ASSERT_TRUE(told[0].ends_in);
  EXPECT_GT(*told[0].ends_in, std::chrono::minutes(50));
  EXPECT_LE(*told[0].ends_in, std::chrono::hours(1));
  world().pause({}, "for a moment", std::chrono::milliseconds(1));
  world().grow_older(std::chrono::milliseconds(10));
  EXPECT_THAT(load_pauses(), testing::IsEmpty());
}

TEST_P(store_contract, the_last_word_about_a_scope_counts) {
  world().pause({"orders", std::nullopt}, "for an hour", std::chrono::hours(1));
  world().pause({"orders", std::nullopt}, "until I say so");
  const auto told = load_pauses();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].reason, "until I say so");
  EXPECT_FALSE(told[0].ends_in);
}

}  // namespace outboxd::tests
