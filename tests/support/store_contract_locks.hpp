// A row that somebody else's transaction holds keeps no other from being written. See
// store_contract.hpp.
#pragma once

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

TEST_P(store_contract, a_locked_row_keeps_no_other_from_being_settled) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  const auto c = world().insert(text_row("c"));
  const auto somebody = world().begin();
  somebody->lock(b.id);
  for (const auto& others : {std::vector{a, b}, std::vector{b, c}}) {
    const auto answer = try_settle(others);
    EXPECT_EQ(answer.changed, 1u);
    EXPECT_EQ(answer.locked, std::vector{b});
  }
  EXPECT_EQ(state_of(a).status, "sent");
  EXPECT_EQ(state_of(b).status, "pending");
  EXPECT_EQ(state_of(c).status, "sent");
  somebody->commit();
  EXPECT_EQ(settle({b}), 1u);
  EXPECT_EQ(state_of(b).status, "sent");
}

TEST_P(store_contract, a_locked_row_keeps_no_other_from_being_deleted_where_nothing_is_kept) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  world().delete_on_ack();
  const auto somebody = world().begin();
  somebody->lock(a.id);
  const auto answer = try_settle({a, b});
  EXPECT_EQ(answer.changed, 1u);
  EXPECT_EQ(answer.locked, std::vector{a});
  EXPECT_FALSE(world().find(b.id).has_value());
  somebody->roll_back();
  EXPECT_EQ(settle({a}), 1u);
  EXPECT_FALSE(world().find(a.id).has_value());
}

TEST_P(store_contract, a_locked_row_keeps_no_other_from_being_decided_about) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  const auto epoch = world().take_lead();
  const auto somebody = world().begin();
  somebody->lock(a.id);
  const auto answer = try_decide(epoch, {dead(a), deferred(b)});
  EXPECT_EQ(answer.changed, std::vector{b});
  EXPECT_EQ(answer.locked, std::vector{a});
  EXPECT_EQ(state_of(a).status, "pending");
  EXPECT_EQ(state_of(b).status, "deferred");
  somebody->commit();
  EXPECT_EQ(decide(epoch, {dead(a)}), std::vector{a});
  EXPECT_EQ(state_of(a).attempts, 1);
}

}  // namespace outboxd::tests
