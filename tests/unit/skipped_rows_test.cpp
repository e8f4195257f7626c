#include "relay/skipped.hpp"

#include <gtest/gtest.h>

namespace outboxd::relay {
namespace {

class skipped_rows_test : public testing::Test {
 protected:
  void skip(std::int64_t id, std::optional<std::string> key = std::nullopt, bool read_out = false) {
    rows.skip(id, key, read_out);
  }
  // A piece of the round comes back, complete.
  void looked_at(std::int64_t to) {
    rows.look_at(to);
    rows.looked_at(to, false, 0);
  }

  skipped_rows rows;
};

TEST_F(skipped_rows_test, a_skipped_row_closes_its_key_and_no_other) {
  skip(5, "k");
  EXPECT_TRUE(rows.closes(6, "k"));
  EXPECT_FALSE(rows.closes(6, "other"));
  EXPECT_FALSE(rows.empty());
}

TEST_F(skipped_rows_test, a_row_without_a_key_closes_none_and_is_found_again) {
  skip(5);
  EXPECT_FALSE(rows.closes(6, ""));
  EXPECT_FALSE(rows.empty());
}

TEST_F(skipped_rows_test, nothing_is_looked_for_before_something_has_changed) {
  skip(5, "k");
  EXPECT_FALSE(rows.wanted());
  rows.look_again();
  EXPECT_TRUE(rows.wanted());
}

TEST_F(skipped_rows_test, where_nothing_was_skipped_nothing_is_looked_for) {
  rows.look_again();
  EXPECT_FALSE(rows.wanted());
}

TEST_F(skipped_rows_test, a_round_starts_at_the_lowest) {
  skip(9);
  skip(5, "k");
  skip(7);
  rows.look_again();
  EXPECT_EQ(rows.next_piece(), 4);
  EXPECT_TRUE(rows.in_round());
}

TEST_F(skipped_rows_test, the_next_piece_starts_where_the_last_one_ended) {
  skip(5);
  rows.look_again();
  rows.next_piece();
  looked_at(40);
  EXPECT_TRUE(rows.wanted()) << "the round is not over";
  EXPECT_EQ(rows.next_piece(), 40);
}

TEST_F(skipped_rows_test, what_a_round_has_passed_is_open_and_what_it_has_not_is_closed) {
  skip(5, "k");
  rows.look_again();
  rows.next_piece();
  rows.look_at(5);
  EXPECT_FALSE(rows.closes(5, "k")) << "it is the row itself";
  EXPECT_TRUE(rows.closes(6, "k")) << "there may be more of the key between";
  looked_at(20);
  EXPECT_FALSE(rows.closes(20, "k"));
  EXPECT_TRUE(rows.closes(21, "k"));
}

TEST_F(skipped_rows_test, after_a_round_that_passed_everything_all_keys_are_open) {
  skip(5, "k");
  rows.look_again();
  rows.next_piece();
  looked_at(100);
  rows.end_round();
  EXPECT_FALSE(rows.closes(101, "k"));
  EXPECT_TRUE(rows.empty());
  EXPECT_FALSE(rows.wanted());
}

TEST_F(skipped_rows_test, a_row_that_is_passed_over_once_more_belongs_to_the_next_round) {
  skip(5, "k");
  rows.look_again();
  rows.next_piece();
  rows.look_at(5);
  skip(5, "k");
  EXPECT_TRUE(rows.closes(6, "k"));
  looked_at(100);
  rows.end_round();
  EXPECT_TRUE(rows.closes(6, "k"));
  EXPECT_FALSE(rows.wanted()) << "or the rounds would never end";
  rows.look_again();
  EXPECT_EQ(rows.next_piece(), 4);
}

TEST_F(skipped_rows_test, a_row_ahead_of_the_round_is_passed_by_it) {
  skip(5);
  rows.look_again();
  rows.next_piece();
  looked_at(10);
  skip(50, "k");
  EXPECT_TRUE(rows.closes(51, "k"));
  looked_at(100);
  rows.end_round();
  EXPECT_TRUE(rows.empty());
}

TEST_F(skipped_rows_test, a_row_that_a_read_under_way_may_miss_is_looked_for_in_another_round) {
  skip(5);
  rows.look_again();
  rows.next_piece();
  skip(50, "k", true);
  looked_at(100);
  EXPECT_TRUE(rows.closes(101, "k"));
  rows.end_round();
  EXPECT_TRUE(rows.closes(51, "k"));
  EXPECT_TRUE(rows.wanted());
  EXPECT_EQ(rows.next_piece(), 49);
}

TEST_F(skipped_rows_test, what_changes_during_a_round_is_cause_for_another_one) {
  skip(5);
  rows.look_again();
  rows.next_piece();
  rows.look_at(5);
  skip(5);
  rows.look_again();
  looked_at(100);
  rows.end_round();
  EXPECT_TRUE(rows.wanted());
}

TEST_F(skipped_rows_test, rows_that_were_left_out_of_an_answer_are_not_forgotten) {
  skip(5);
  rows.look_again();
  const std::int64_t after = rows.next_piece();
  rows.looked_at(100, true, after);
  rows.end_round();
  EXPECT_FALSE(rows.empty());
  rows.look_again();
  EXPECT_EQ(rows.next_piece(), after);
}

TEST_F(skipped_rows_test, a_look_everywhere_starts_at_the_first_row_of_the_table) {
  skip(5);
  rows.look_everywhere();
  EXPECT_TRUE(rows.wanted());
  EXPECT_EQ(rows.next_piece(), 0);
}

TEST_F(skipped_rows_test, a_look_everywhere_needs_nothing_skipped) {
  rows.look_everywhere();
  EXPECT_TRUE(rows.wanted());
  rows.next_piece();
  looked_at(100);
  rows.end_round();
  EXPECT_FALSE(rows.wanted());
}

TEST_F(skipped_rows_test, when_the_reader_starts_over_nothing_is_remembered) {
  skip(5, "a");
  rows.look_again();
  rows.next_piece();
  looked_at(10);
  skip(5, "b");
  rows.restart();
  EXPECT_TRUE(rows.empty());
  EXPECT_FALSE(rows.wanted());
  EXPECT_FALSE(rows.in_round());
  EXPECT_FALSE(rows.closes(11, "a"));
  EXPECT_FALSE(rows.closes(11, "b"));
}

}  // namespace
}  // namespace outboxd::relay
