#include "relay/key_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

namespace outboxd::relay {
namespace {

using testing::ElementsAre;

constexpr std::size_t plenty = 1'000;

class key_order_test : public testing::Test {
 protected:
  static outbox::message message(std::int64_t id, const std::string& key = "k") {
    outbox::message m;
    m.ref.id = id;
    m.ordering_key = key;
    return m;
  }

  row& make(std::int64_t id, const std::string& key = "k") {
    rows_.push_back(row{});
    rows_.back().msg = message(id, key);
    return rows_.back();
  }

  row& admitted(std::int64_t id) {
    EXPECT_TRUE(admit(id));
    row& r = make(id);
    keys.add(r);
    return r;
  }

  bool admit(std::int64_t id, std::size_t free_rows = plenty) {
    key_order::change c;
    return keys.admit(message(id), free_rows, c);
  }

  key_order::change publish(row& r) {
    r.state = row_state::in_flight;
    return keys.published(r);
  }

  // The answer to a walk is dealt with: the whole of it was seen.
  void answered(const std::optional<outbox::scan>& asked) {
    ASSERT_TRUE(asked);
    keys.answered(*asked, 1'000, true);
  }

  std::deque<row> rows_;  // outlive what they stand in
  key_order keys;
};

// More keys than are kept for their next row, by far; one that holds is not among those that go.
TEST_F(key_order_test, of_keys_that_have_ended_only_so_many_are_kept) {
  keys.hold("held", message(1).ref);
  std::size_t most = 0;
  for (std::int64_t id = 2; id < 100'000; ++id) {
    row& r = make(id, "k" + std::to_string(id));
    EXPECT_EQ(keys.add(r).up, &r);
    publish(r);
    keys.finish(r);
    rows_.clear();
    most = std::max(most, keys.known());
  }
  EXPECT_LE(most, 20'000u);
  EXPECT_EQ(keys.held(), 1u);
  key_order::change c;
  EXPECT_FALSE(keys.admit(message(100'000, "held"), plenty, c));
}

TEST_F(key_order_test, a_key_that_comes_again_is_as_new) {
  row& first = make(1);
  keys.add(first);
  publish(first);
  keys.finish(first);
  EXPECT_FALSE(keys.in_memory("k"));
  EXPECT_EQ(keys.closed(), 0u);
  EXPECT_TRUE(admit(2, 0)) << "as one that was never seen";
  row& second = make(2);
  EXPECT_EQ(keys.add(second).up, &second);
  EXPECT_TRUE(keys.in_memory("k"));
}

TEST_F(key_order_test, the_first_row_of_a_key_may_go_at_once) {
  row& r = make(1);
  EXPECT_EQ(keys.add(r).up, &r);
}

TEST_F(key_order_test, the_second_goes_when_the_first_is_final) {
  row& first = make(1);
  row& second = make(2);
  keys.add(first);
  EXPECT_EQ(keys.add(second).up, nullptr);
  EXPECT_EQ(keys.finish(first).up, &second);
}

TEST_F(key_order_test, different_keys_do_not_wait_for_each_other) {
  row& a = make(1, "a");
  row& b = make(2, "b");
  keys.add(a);
  EXPECT_EQ(keys.add(b).up, &b);
}

TEST_F(key_order_test, a_lower_id_that_commits_late_goes_before_one_not_yet_published) {
  row& later = make(9);
  keys.add(later);
  later.state = row_state::ready;
  row& earlier = make(5);
  const auto c = keys.add(earlier);
  EXPECT_EQ(c.down, &later);
  EXPECT_EQ(c.up, &earlier);
}

TEST_F(key_order_test, a_lower_id_that_commits_late_waits_for_one_in_flight) {
  row& later = make(9);
  keys.add(later);
  publish(later);
  row& earlier = make(5);
  const auto c = keys.add(earlier);
  EXPECT_EQ(c.down, nullptr);
  EXPECT_EQ(c.up, nullptr);
  EXPECT_EQ(keys.finish(later).up, &earlier);
}

TEST_F(key_order_test, a_failed_row_holds_its_key_and_sends_those_behind_it_away) {
  row& first = make(1);
  row& second = make(2);
  keys.add(first);
  keys.add(second);
  const auto c = keys.defer(first);
  EXPECT_THAT(c.evicted, ElementsAre(&second));
  EXPECT_EQ(c.up, nullptr);
  EXPECT_EQ(keys.held(), 1u);
  EXPECT_FALSE(admit(3));
}

TEST_F(key_order_test,
       when_the_failed_row_is_final_the_skipped_ones_are_asked_for_from_the_lowest) {
  row& first = make(1);
  row& second = make(2);
  keys.add(first);
  keys.add(second);
  keys.defer(first);
  EXPECT_FALSE(admit(3));
  EXPECT_FALSE(keys.has_ripe());

  ASSERT_TRUE(keys.admit_due(message(1), plenty));
  row& again = make(1);
  EXPECT_EQ(keys.add(again).up, &again);
  keys.finish(again);
  EXPECT_EQ(keys.held(), 0u);
  const auto walk = keys.ask(10);
  ASSERT_TRUE(walk);
  EXPECT_THAT(walk->keys, ElementsAre("k"));
  EXPECT_EQ(walk->after, 1);
}

TEST_F(key_order_test, until_the_answer_came_nothing_above_it_is_let_in) {
  row& first = admitted(1);
  row& second = admitted(2);
  keys.defer(first);
  row& again = make(1);
  keys.add(again);
  keys.finish(again);
  const auto walk = keys.ask(10);
  EXPECT_FALSE(admit(7));
  key_order::change c;
  EXPECT_TRUE(keys.admit_skipped(second.msg, plenty, c));
  answered(walk);
  EXPECT_EQ(keys.ask(10)->after, 6);
}

TEST_F(key_order_test, a_key_with_everything_read_is_open_again) {
  row& first = admitted(1);
  admitted(2);
  keys.defer(first);
  row& again = make(1);
  keys.add(again);
  keys.finish(again);
  answered(keys.ask(10));
  EXPECT_TRUE(admit(7));
}

TEST_F(key_order_test, a_row_whose_fate_is_unknown_is_read_again_before_any_other_of_its_key) {
  row& first = admitted(1);
  admitted(2);
  EXPECT_EQ(keys.forget(first).evicted.size(), 1u);
  EXPECT_FALSE(admit(3));
  EXPECT_EQ(keys.ask(10)->after, 0);
}

TEST_F(key_order_test, no_key_takes_more_than_an_eighth_of_what_is_free) {
  std::size_t taken = 0;
  for (std::int64_t id = 1; id <= 100 && admit(id, 80); ++id, ++taken) keys.add(make(id));
  EXPECT_EQ(taken, 10u);
}

TEST_F(key_order_test, a_crowded_key_is_read_further_when_few_of_its_rows_are_left) {
  std::vector<row*> in_memory;
  for (std::int64_t id = 1; id <= 40; ++id) in_memory.push_back(&admitted(id));
  EXPECT_FALSE(admit(41, 8));
  EXPECT_FALSE(keys.has_ripe());
  std::size_t finished = 0;
  while (!keys.has_ripe() && finished < in_memory.size()) keys.finish(*in_memory[finished++]);
  EXPECT_LT(finished, 40u) << "it must not run dry first";
  EXPECT_EQ(keys.ask(1)->after, 40);
}

TEST_F(key_order_test, after_a_take_over_a_row_that_failed_earlier_holds_its_key) {
  keys.hold("k", {.id = 4, .message_id = {}});
  EXPECT_FALSE(admit(5));
  EXPECT_TRUE(admit(3)) << "what is before it does not wait";
  EXPECT_TRUE(keys.admit_due(message(4), plenty));
}

TEST_F(key_order_test, of_two_failed_rows_of_a_key_the_lower_goes_first) {
  keys.hold("k", {.id = 9, .message_id = {}});
  keys.hold("k", {.id = 4, .message_id = {}});
  EXPECT_FALSE(keys.admit_due(message(9), plenty));
  ASSERT_TRUE(keys.admit_due(message(4), plenty));
  row& lower = make(4);
  keys.add(lower);
  keys.finish(lower);
  EXPECT_TRUE(keys.admit_due(message(9), plenty));
  EXPECT_EQ(keys.held(), 1u);
}

TEST_F(key_order_test, a_restart_of_the_reader_forgets_what_was_skipped_but_not_what_failed) {
  row& first = admitted(1);
  admitted(2);
  keys.defer(first);
  keys.restart();
  EXPECT_FALSE(admit(2));
  EXPECT_EQ(keys.held(), 1u);
}

TEST_F(key_order_test, nothing_is_remembered_of_keys_that_are_done) {
  row& r = admitted(1);
  EXPECT_FALSE(admit(2, 0) && admit(3, 0));
  keys.finish(r);
  answered(keys.ask(10));
  EXPECT_EQ(keys.closed(), 0u);
  EXPECT_EQ(keys.held(), 0u);
  EXPECT_FALSE(keys.ask(10));
}

TEST_F(key_order_test, a_walk_that_stopped_early_goes_on_where_it_stopped) {
  row& r = admitted(1);
  EXPECT_FALSE(admit(2, 0));
  keys.finish(r);
  const auto walk = keys.ask(10);
  ASSERT_TRUE(walk);
  keys.answered(*walk, 50, false);
  EXPECT_EQ(keys.ask(10)->after, 50);
}

TEST_F(key_order_test, several_keys_are_read_in_one_walk_from_the_lowest_of_their_rows) {
  for (const auto& [key, id] : {std::pair{"a", 30}, std::pair{"b", 20}}) {
    keys.put_off(key, id);
  }
  const auto walk = keys.ask(10);
  ASSERT_TRUE(walk);
  EXPECT_THAT(walk->keys, ElementsAre("a", "b"));
  EXPECT_EQ(walk->after, 19);
}

TEST_F(key_order_test, a_row_that_finds_no_room_takes_those_behind_it_along) {
  row& later = admitted(9);
  key_order::change c;
  EXPECT_FALSE(keys.admit(message(5), 0, c));
  EXPECT_THAT(c.evicted, ElementsAre(&later));
  EXPECT_EQ(keys.ask(10)->after, 4);
}

TEST_F(key_order_test, skipped_rows_before_a_failed_one_are_read_and_those_behind_it_are_not) {
  keys.hold("k", {.id = 9, .message_id = {}});
  keys.put_off("k", 12);
  EXPECT_FALSE(keys.ask(10));
  keys.put_off("k", 5);
  EXPECT_FALSE(keys.admit_due(message(9), plenty)) << "a row that was skipped is before it";
  const auto walk = keys.ask(10);
  ASSERT_TRUE(walk);
  EXPECT_EQ(walk->after, 4);
  key_order::change c;
  EXPECT_TRUE(keys.admit_skipped(message(5), plenty, c));
  EXPECT_FALSE(keys.admit_skipped(message(12), plenty, c));
}

TEST_F(key_order_test, while_a_decision_is_written_no_other_row_of_the_key_goes) {
  row& first = admitted(1);
  row& second = admitted(2);
  publish(first);
  keys.failed(first);
  first.state = row_state::deciding;
  row& third = make(3);
  EXPECT_EQ(keys.add(third).up, nullptr);
  EXPECT_THAT(keys.defer(first).evicted, testing::UnorderedElementsAre(&second, &third));
}

class pipelined_keys_test : public key_order_test {
 protected:
  pipelined_keys_test() { keys = key_order(true); }
};

TEST_F(pipelined_keys_test, the_next_row_goes_as_soon_as_the_one_before_is_written) {
  row& first = admitted(1);
  row& second = admitted(2);
  EXPECT_EQ(publish(first).up, &second);
  EXPECT_EQ(publish(second).up, nullptr);
}

TEST_F(pipelined_keys_test, a_key_takes_half_of_what_is_free) {
  std::size_t taken = 0;
  for (std::int64_t id = 1; id <= 100 && admit(id, 80); ++id, ++taken) keys.add(make(id));
  EXPECT_EQ(taken, 40u);
}

TEST_F(pipelined_keys_test, after_a_nack_no_other_goes_before_the_row_is_final) {
  row& first = admitted(1);
  row& second = admitted(2);
  row& third = admitted(3);
  publish(first);
  publish(second);
  EXPECT_EQ(keys.failed(first).down, &third);
  first.state = row_state::deciding;
  EXPECT_THAT(keys.defer(first).evicted, ElementsAre(&third));
  EXPECT_EQ(keys.finish(second).up, nullptr) << "it had been written before the nack";
  EXPECT_FALSE(admit(4));
}

TEST_F(pipelined_keys_test, a_row_whose_outcome_is_unknown_does_not_pass_one_that_failed) {
  row& first = admitted(1);
  row& second = admitted(2);
  publish(first);
  publish(second);
  keys.failed(first);
  first.state = row_state::deciding;
  keys.defer(first);
  EXPECT_THAT(keys.again(second).evicted, ElementsAre(&second));
}

TEST_F(pipelined_keys_test, after_a_lost_lane_the_lowest_goes_first) {
  row& first = admitted(1);
  row& second = admitted(2);
  publish(first);
  publish(second);
  EXPECT_EQ(keys.again(first).up, &first);
  EXPECT_EQ(keys.again(second).up, nullptr);
  EXPECT_EQ(publish(first).up, &second);
}

TEST_F(pipelined_keys_test, nothing_goes_beside_a_row_on_another_lane) {
  row& first = admitted(1);
  admitted(2);
  first.apart = true;
  EXPECT_EQ(publish(first).up, nullptr);
}

}  // namespace
}  // namespace outboxd::relay
