// What decide() promises of a row that fell due and becomes pending. See store_contract.hpp.
#pragma once

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

TEST_P(store_contract, a_due_row_that_becomes_pending_keeps_the_story_of_its_failures) {
  const auto a = world().insert(text_row("a"));
  const auto epoch = world().take_lead();
  decide(epoch, {deferred(a, 1min)});
  world().grow_older(1h);
  EXPECT_EQ(decide(epoch, {pending(a, 1)}), std::vector{a});
  EXPECT_EQ(state_of(a).status, "pending");
  EXPECT_EQ(state_of(a).attempts, 1);
  EXPECT_EQ(state_of(a).last_error, "returned");
  EXPECT_TRUE(state_of(a).failing);
  EXPECT_FALSE(state_of(a).has_due_at);

  const auto answer = read();
  EXPECT_TRUE(answer.due.empty());
  EXPECT_FALSE(answer.next_due_in.has_value());
  ASSERT_EQ(ids(answer.rows), std::vector{a.id});
  EXPECT_FALSE(answer.rows[0].deferred);
  EXPECT_EQ(answer.rows[0].attempts, 1);
  EXPECT_GE(answer.rows[0].failing_for, 1h);
  EXPECT_LT(answer.rows[0].failing_for, 1h + 1min);
}

TEST_P(store_contract, a_scheduled_row_that_becomes_pending_has_not_failed) {
  const auto a = world().insert(text_row("a"), world().now() + 1h);
  world().grow_older(2h);
  EXPECT_EQ(decide(world().take_lead(), {pending(a)}), std::vector{a});
  EXPECT_EQ(state_of(a).status, "pending");
  EXPECT_EQ(state_of(a).attempts, 0);
  EXPECT_EQ(state_of(a).last_error, "");
  EXPECT_FALSE(state_of(a).failing || state_of(a).has_due_at);
  EXPECT_EQ(read().rows.at(0).failing_for, 0us);
}

TEST_P(store_contract, a_row_that_became_pending_is_read_wherever_pending_rows_are) {
  const auto a = world().insert(text_row("a", "k"), world().now() + 1h);
  const auto b = world().insert(text_row("b"));
  world().grow_older(2h);
  decide(world().take_lead(), {pending(a)});
  EXPECT_EQ(ids(read().rows), (std::vector{a.id, b.id})) << "above the frontier";

  auto request = everything();
  request.frontier = b.id;
  EXPECT_TRUE(read(request).rows.empty());
  request.gaps = {{a.id, a.id}};
  EXPECT_EQ(ids(read(request).rows), std::vector{a.id}) << "in a gap";
  request.gaps.clear();
  request.below = outbox::scan{.after = 0, .rows = 10, .visited = 10, .keys = {"k"}, .without = {}};
  EXPECT_EQ(ids(read(request).below), std::vector{a.id}) << "by a scan";
  EXPECT_EQ(settle({a}), 1u);
}

TEST_P(store_contract, a_row_becomes_pending_only_by_the_leader_who_knows_its_attempts) {
  const auto a = world().insert(text_row("a"));
  const auto old_epoch = world().take_lead();
  decide(old_epoch, {deferred(a)});
  const auto epoch = world().take_lead();
  EXPECT_TRUE(decide(old_epoch, {pending(a, 1)}).empty());
  EXPECT_TRUE(decide(epoch, {pending(a, 0)}).empty());
  EXPECT_TRUE(decide(epoch, {pending(a, 2)}).empty());
  EXPECT_EQ(state_of(a).status, "deferred");
  EXPECT_TRUE(state_of(a).has_due_at);
  EXPECT_EQ(decide(epoch, {pending(a, 1)}), std::vector{a});
}

TEST_P(store_contract, a_row_that_is_pending_already_can_be_told_so_again) {
  const auto a = world().insert(text_row("a"), world().now() + 1h);
  const auto epoch = world().take_lead();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(decide(epoch, {pending(a)}), std::vector{a});
    EXPECT_EQ(state_of(a).status, "pending");
    EXPECT_EQ(state_of(a).attempts, 0);
  }
  EXPECT_EQ(decide(epoch, {deferred(a)}), std::vector{a}) << "it can fail like any other";
  EXPECT_TRUE(decide(epoch, {pending(a)}).empty()) << "asked before it failed";
  EXPECT_EQ(state_of(a).status, "deferred");
}

TEST_P(store_contract, a_row_that_is_settled_does_not_become_pending_again) {
  const auto epoch = world().take_lead();
  const auto sent = world().insert(text_row("sent"));
  const auto died = world().insert(text_row("dead"));
  const auto old = world().insert(text_row("old"));
  settle({sent});
  decide(epoch, {dead(died)});
  world().reissue(old.id);
  EXPECT_TRUE(decide(epoch, {pending(sent), pending(died, 1), pending(old)}).empty());
  EXPECT_EQ(state_of(sent).status, "sent");
  EXPECT_EQ(state_of(died).status, "dead");
}

}  // namespace outboxd::tests
