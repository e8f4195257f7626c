// What read() promises of scheduled rows and those that failed, and load_failed(). See
// store_contract.hpp.
#pragma once

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

TEST_P(store_contract, a_scheduled_row_waits_until_it_is_due) {
  const auto ref = world().insert(text_row("later"), world().now() + 1h);
  world().insert(text_row("much later"), world().now() + 2h);
  auto answer = read();
  EXPECT_TRUE(answer.rows.empty());
  EXPECT_TRUE(answer.due.empty());
  ASSERT_TRUE(answer.next_due_in.has_value());
  EXPECT_LE(*answer.next_due_in, 1h);
  EXPECT_GT(*answer.next_due_in, 59min);

  world().grow_older(90min);
  answer = read();
  ASSERT_EQ(ids(answer.due), std::vector{ref.id});
  EXPECT_TRUE(answer.due[0].deferred);
  EXPECT_EQ(answer.due[0].attempts, 0);
  ASSERT_TRUE(answer.next_due_in.has_value());
  EXPECT_LE(*answer.next_due_in, 30min);
}

TEST_P(store_contract, due_rows_come_earliest_first_and_those_of_one_instant_by_id) {
  const auto noon = world().now() + 1h;
  world().insert(text_row("last"), noon + 1s);
  world().insert(text_row("a"), noon);
  world().insert(text_row("b"), noon);
  world().insert(text_row("first"), noon - 1s);
  world().grow_older(2h);
  EXPECT_EQ(bodies(read().due), (std::vector<std::string>{"first", "a", "b", "last"}));
  auto request = everything();
  request.due_limit = 2;
  EXPECT_EQ(bodies(read(request).due), (std::vector<std::string>{"first", "a"}));
  request.due_limit = 0;
  EXPECT_TRUE(read(request).due.empty());
}

TEST_P(store_contract, a_row_says_for_how_long_it_has_been_failing) {
  const auto a = world().insert(text_row("a"));
  const auto epoch = world().take_lead();
  world().grow_older(3h);
  decide(epoch, {deferred(a, 1min)});
  world().grow_older(1h);
  decide(epoch, {deferred(a, 1min, 1)});
  world().grow_older(1h);
  const auto due = read().due;
  EXPECT_GE(due.at(0).failing_for, 2h) << "since its first failure";
  EXPECT_LT(due.at(0).failing_for, 2h + 1min);
}

TEST_P(store_contract, rows_scheduled_too_far_ahead_are_named_farthest_first) {
  const auto start = world().now();
  world().insert(text_row("soon"), start + 1h);
  const auto far = world().insert(text_row("far"), start + 48h);
  const auto farther_a = world().insert(text_row("farther"), start + 72h);
  const auto farther_b = world().insert(text_row("farther"), start + 72h);
  const auto failed = world().insert(text_row("failed"));
  decide(world().take_lead(), {deferred(failed, 96h)});
  EXPECT_TRUE(read().too_late.empty()) << "no limit";

  auto request = everything();
  request.max_delay = 24h;
  const auto too_late = read(request).too_late;
  EXPECT_EQ(ids(too_late), (std::vector{farther_b.id, farther_a.id, far.id}));
  EXPECT_FALSE(too_late.at(2).body_loaded);
  EXPECT_EQ(too_late.at(2).body, "");
  EXPECT_EQ(too_late.at(2).body_size, 3u);
  request.max_delay = 60h;
  EXPECT_EQ(ids(read(request).too_late), (std::vector{farther_b.id, farther_a.id}));
  world().grow_older(13h);
  EXPECT_TRUE(read(request).too_late.empty()) << "near enough by now";
}

TEST_P(store_contract, a_hundred_rows_that_are_scheduled_too_far_ahead_come_at_a_time) {
  for (int i = 0; i < 101; ++i) world().insert(text_row("far"), world().now() + 48h);
  auto request = everything();
  request.max_delay = 24h;
  EXPECT_EQ(read(request).too_late.size(), 100u);
}

// Else a max_delay that is shorter than the pauses would have every read walk all rows that failed.
TEST_P(store_contract, rows_scheduled_too_far_ahead_are_looked_for_among_the_thousand_due_last) {
  const auto start = world().now();
  const auto near = world().insert(text_row("near"), start + 48h);
  const auto far = world().insert(text_row("far"), start + 96h);
  const auto writer = world().begin();
  std::vector<outbox::decision> failures;
  failures.reserve(1'000);
  for (int i = 0; i < 999; ++i) failures.push_back(deferred(writer->insert(text_row("x")), 72h));
  writer->commit();
  const auto epoch = world().take_lead();
  decide(epoch, failures);
  auto request = everything();
  request.limit = request.due_limit = 0;
  request.max_delay = 24h;
  EXPECT_EQ(ids(read(request).too_late), std::vector{far.id});
  settle({far});
  EXPECT_EQ(ids(read(request).too_late), std::vector{near.id});
}

TEST_P(store_contract, failed_rows_are_those_that_wait_after_a_failure) {
  const auto epoch = world().take_lead();
  auto row = text_row("a", "k");
  row.exchange = "e";
  const auto a = world().insert(row);
  const auto b = world().insert(text_row("b"));
  world().insert(text_row("scheduled"), world().now() + 1h);
  const auto killed = world().insert(text_row("dead", "k"));
  decide(epoch, {deferred(b), deferred(a), dead(killed)});
  auto failed = load_failed(10);
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_EQ(failed[0].ref, a);
  EXPECT_FALSE(failed[0].dead);
  EXPECT_EQ(failed[0].exchange, "e");
  EXPECT_EQ(failed[0].routing_key, "q");
  EXPECT_EQ(failed[0].ordering_key, "k");
  EXPECT_EQ(failed[1].ref, b);
  EXPECT_FALSE(failed[1].ordering_key.has_value());
  EXPECT_EQ(load_failed(1).size(), 1u);
}

TEST_P(store_contract, failed_rows_come_page_by_page_with_the_dead_ones_that_have_a_key) {
  const auto epoch = world().take_lead();
  std::vector<outbox::row_ref> expected;
  for (int i = 0; i < 3; ++i) {
    const auto waits = world().insert(text_row("waits"));
    const auto killed = world().insert(text_row("dead", "k"));
    const auto nobody_waits_for = world().insert(text_row("dead"));
    decide(epoch, {deferred(waits), dead(killed), dead(nobody_waits_for)});
    expected.push_back(waits);
    expected.push_back(killed);
  }
  std::vector<outbox::row_ref> got;
  for (std::int64_t after = 0; got.size() < expected.size(); after = got.back().id) {
    const auto page = load_failed(4, after, true);
    ASSERT_FALSE(page.empty());
    for (const auto& row : page) {
      EXPECT_EQ(row.dead, row.ordering_key.has_value());
      got.push_back(row.ref);
    }
  }
  EXPECT_EQ(got, expected);
  EXPECT_TRUE(load_failed(4, got.back().id, true).empty());
  EXPECT_EQ(load_failed(4, expected[0].id, false).size(), 2u);
}

}  // namespace outboxd::tests
