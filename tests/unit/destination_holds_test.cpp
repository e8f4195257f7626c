// When a destination is held, and when it is held no more.
#include "tests/unit/destinations_fixture.hpp"

namespace outboxd::relay {
namespace {

TEST_F(destinations_test, three_different_rows_that_fail_hold_their_destination) {
  fail(1);
  fail(2);
  EXPECT_EQ(d.held(), 0u);
  fail(3);
  ASSERT_EQ(d.held(), 1u);
  const hold_info h = d.holds().front();
  EXPECT_EQ(h.where, (outbox::destination{"e", "k"}));
  EXPECT_EQ(h.reason, "no route");
  EXPECT_EQ(h.since, now);
  EXPECT_NE(hold_of("e", "k"), nullptr);
  EXPECT_EQ(hold_of("e", "other"), nullptr);
  EXPECT_EQ(hold_of("other", "k"), nullptr);
}

TEST_F(destinations_test, the_same_row_three_times_holds_nothing) {
  row& bystander = make(9);  // something of the destination stays in memory
  for (int i = 0; i < 5; ++i) fail(1);
  EXPECT_EQ(d.held(), 0u);
  d.leave(bystander);
  for (int i = 0; i < 5; ++i) fail(1);
  EXPECT_EQ(d.held(), 0u);
}

TEST_F(destinations_test, a_row_under_an_id_that_was_given_out_again_is_a_different_row) {
  fail(1);
  fail(2);
  row& again = make(2);
  again.msg.ref.message_id.data[0] = 1;
  fail(again);
  EXPECT_EQ(d.held(), 1u);
}

TEST_F(destinations_test, failures_are_remembered_when_no_row_of_the_destination_is_in_memory) {
  for (const std::int64_t id : {1, 2, 3}) {
    fail(id);
    now += 1h;
  }
  EXPECT_EQ(d.held(), 1u);
}

TEST_F(destinations_test, a_success_between_starts_the_count_anew) {
  fail(1);
  fail(2);
  succeed(3);
  fail(4);
  fail(5);
  EXPECT_EQ(d.held(), 0u);
  fail(6);
  EXPECT_EQ(d.held(), 1u);
}

TEST_F(destinations_test, where_others_go_rows_that_have_failed_before_hold_nothing) {
  make(100);  // something of the destination stays in memory
  succeed(1);
  for (const std::int64_t id : {2, 3, 4, 5}) {
    row& r = make(id);
    r.msg.attempts = 1;
    fail(r);
  }
  EXPECT_EQ(d.held(), 0u);
}

TEST_F(destinations_test, where_none_has_gone_rows_that_have_failed_before_count_too) {
  for (const std::int64_t id : {2, 3, 4}) {
    row& r = make(id);
    r.msg.attempts = 1;
    fail(r);
  }
  EXPECT_EQ(d.held(), 1u);
}

TEST_F(destinations_test, failures_of_different_destinations_are_not_added_up) {
  fail(1, "a");
  fail(2, "b");
  fail(3, "c");
  EXPECT_EQ(d.held(), 0u);
}

TEST_F(destinations_test, a_missing_exchange_is_held_with_all_its_routing_keys) {
  fail(1, "a", verdict::no_exchange);
  fail(2, "b", verdict::no_exchange);
  EXPECT_EQ(d.held(), 0u);
  fail(3, "c", verdict::no_exchange);
  ASSERT_EQ(d.held(), 1u);
  EXPECT_EQ(d.holds().front().where, (outbox::destination{"e", std::nullopt}));
  EXPECT_NE(hold_of("e", "never seen"), nullptr);
  EXPECT_EQ(hold_of("other", "a"), nullptr);
}

TEST_F(destinations_test, a_forbidden_routing_key_holds_that_one_only) {
  for (const std::int64_t id : {1, 2, 3}) fail(id, "a", verdict::forbidden);
  EXPECT_NE(hold_of("e", "a"), nullptr);
  EXPECT_EQ(hold_of("e", "b"), nullptr);
}

TEST_F(destinations_test, above_32_holds_on_one_exchange_the_exchange_is_held) {
  hold_some(32);
  EXPECT_EQ(d.held(), 32u);
  EXPECT_EQ(hold_of("e", "never seen"), nullptr);
  hold_some(1, 32);
  ASSERT_EQ(d.held(), 1u);
  EXPECT_EQ(d.holds().front().where, (outbox::destination{"e", std::nullopt}));
  EXPECT_NE(hold_of("e", "never seen"), nullptr);
}

TEST_F(destinations_test, an_exchange_of_which_some_routing_key_works_is_not_held) {
  hold_some(20);
  succeed(1, "works");
  hold_some(30, 20);
  EXPECT_EQ(d.held(), 50u);
  EXPECT_EQ(hold_of("e", "works"), nullptr);
}

TEST_F(destinations_test, holds_on_other_exchanges_do_not_count_against_an_exchange) {
  hold_some(20);
  exchange = "f";
  hold_some(20);
  EXPECT_EQ(d.held(), 40u);
}

TEST_F(destinations_test, rows_that_waited_for_a_routing_key_wait_for_the_exchange_afterwards) {
  hold_some(1);
  row& waits = make(500, "k0");
  ASSERT_TRUE(d.wait(waits));
  hold_some(32, 1);
  ASSERT_EQ(d.held(), 1u);
  EXPECT_EQ(probes(at_probe()), (std::vector{&waits}));
  EXPECT_EQ(d.succeeded(waits), std::vector<row*>{});
  EXPECT_EQ(d.held(), 0u);
}

TEST_F(destinations_test, a_probe_of_a_routing_key_that_is_out_asks_for_the_exchange_afterwards) {
  hold_some(1);
  row& out = make(500, "k0");
  ASSERT_TRUE(d.wait(out));
  ASSERT_EQ(probes(at_probe()).size(), 1u);
  hold_some(32, 1);
  EXPECT_TRUE(out.probe);
  ASSERT_TRUE(d.holds().front().probing);
  d.succeeded(out);
  EXPECT_EQ(d.held(), 0u);
}

TEST_F(destinations_test, a_failure_at_a_destination_that_is_held_is_not_the_rows_fault) {
  row& late = make(9);
  hold_one();
  EXPECT_TRUE(d.failed(late, verdict::returned, "no route", now));
  EXPECT_EQ(d.holds().front().probes, 0) << "it was no probe";
}

TEST_F(destinations_test, a_success_ends_the_hold_and_frees_who_waited) {
  hold_one();
  row& probe = make(10);
  row& waits = make(11);
  ASSERT_TRUE(d.wait(probe));
  ASSERT_TRUE(d.wait(waits));
  EXPECT_EQ(probes(at_probe()), (std::vector{&probe}));
  EXPECT_EQ(d.succeeded(probe), (std::vector{&waits}));
  EXPECT_FALSE(probe.probe);
  EXPECT_EQ(d.held(), 0u);
  EXPECT_EQ(hold_of("e", "k"), nullptr);
}

TEST_F(destinations_test, after_a_lift_the_share_of_the_window_grows_from_one) {
  hold_one();
  row& watched = make(100);
  succeed(10);
  EXPECT_EQ(watched.where->share, 1u);
  for (std::size_t share = 2; share < max_in_flight; ++share) {
    succeed(static_cast<std::int64_t>(10 + share));
    EXPECT_EQ(watched.where->share, share);
  }
  succeed(50);
  EXPECT_EQ(watched.where->share, whole_window);
}

TEST_F(destinations_test, the_share_is_remembered_while_no_row_is_in_memory) {
  hold_one();
  succeed(10);
  row& next = make(11);
  EXPECT_EQ(next.where->share, 1u);
}

TEST_F(destinations_test, a_lift_of_an_exchange_gives_each_of_its_routing_keys_a_share_of_one) {
  row& a = make(100, "a");
  row& b = make(101, "b");
  for (const std::int64_t id : {1, 2, 3}) fail(id, "a", verdict::no_exchange);
  succeed(10, "a");
  EXPECT_EQ(a.where->share, 1u);
  EXPECT_EQ(b.where->share, 1u);
}

TEST_F(destinations_test, what_begins_and_ends_is_told_once) {
  hold_one();
  succeed(10);
  succeed(11);
  const auto events = d.take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_TRUE(events[0].began);
  EXPECT_FALSE(events[1].began);
  EXPECT_EQ(events[1].what.where, (outbox::destination{"e", "k"}));
  EXPECT_TRUE(d.take_events().empty());
}

TEST_F(destinations_test, rows_that_failed_in_earlier_times_hold_like_others) {
  outbox::failed_row f;
  f.exchange = "e";
  f.routing_key = "k";
  for (const std::int64_t id : {1, 2, 3}) {
    f.ref = ref(id);
    d.failed_before(f, "before", now);
  }
  ASSERT_EQ(d.held(), 1u);
  EXPECT_EQ(d.holds().front().reason, "before");
}

TEST_F(destinations_test, no_more_than_a_thousand_or_so_are_held_at_once) {
  succeed(1, "works");
  for (int i = 0; i < 1'500; ++i) {
    exchange = "e" + std::to_string(i / 10);
    hold_some(1, i);
  }
  EXPECT_EQ(d.held(), 1'024u);
}

TEST_F(destinations_test, of_destinations_that_failed_once_the_oldest_are_forgotten) {
  fail(1, "first");
  fail(2, "first");
  for (std::int64_t i = 0; i < 5'000; ++i) fail(10 + i, "k" + std::to_string(i));
  fail(3, "first");
  EXPECT_EQ(d.held(), 0u);
}

TEST_F(destinations_test, however_many_destinations_are_forgotten_a_held_one_is_not) {
  hold_one();
  for (std::int64_t i = 0; i < 5'000; ++i) fail(10 + i, "k" + std::to_string(i));
  EXPECT_NE(hold_of("e", "k"), nullptr);
}

TEST_F(destinations_test, reset_forgets_holds_counts_and_shares) {
  row& watched = make(100);
  succeed(1);
  hold_one();
  row& waits = make(101);
  ASSERT_TRUE(d.wait(waits));
  fail(10, "other");
  fail(11, "other");
  watched.where->share = 3;
  d.reset();
  EXPECT_EQ(d.held(), 0u);
  EXPECT_EQ(hold_of("e", "k"), nullptr);
  EXPECT_EQ(d.next_probe(), std::nullopt);
  EXPECT_EQ(d.hungry_at(), std::nullopt);
  EXPECT_EQ(watched.where->share, whole_window);
  EXPECT_TRUE(d.take_events().empty());
  fail(12, "other");
  EXPECT_EQ(d.held(), 0u);
}

}  // namespace
}  // namespace outboxd::relay
