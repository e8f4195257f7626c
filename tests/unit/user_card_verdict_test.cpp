#include "examples/user_card/demo/verdict.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace user_card::demo {
namespace {

// Two users: ada, who was renamed once, and tony. Everything arrived.
facts everything_arrived() {
  facts found;
  found.users = {{1, {"ada-2", 2}}, {2, {"tony", 1}}};
  found.copies = found.users;
  found.created_cards = {{11, 1}, {12, 2}};
  found.saved_cards = {{12, 2}, {11, 1}};
  found.history = {{1, 1, "ada"}, {2, 1, "tony"}, {1, 2, "ada-2"}};
  found.rolled_back = {"grace"};
  return found;
}

TEST(verdict, holds_when_everything_arrived_once_and_in_order) {
  const auto reached = judge(everything_arrived());
  EXPECT_TRUE(reached.holds());
  EXPECT_EQ(reached.users_committed, 2);
  EXPECT_EQ(reached.cards_stored, 2);
  EXPECT_EQ(reached.rolled_back, 1);
}

TEST(verdict, does_not_hold_when_nothing_happened) {
  EXPECT_FALSE(judge(facts{}).holds());
}

TEST(verdict, absorbed_duplicates_are_allowed) {
  auto found = everything_arrived();
  found.duplicates = 7;
  EXPECT_TRUE(judge(found).holds());
  EXPECT_EQ(judge(found).duplicates, 7);
}

TEST(verdict, a_user_without_a_card_is_lost) {
  auto found = everything_arrived();
  found.created_cards.pop_back();
  found.saved_cards.erase(found.saved_cards.begin());
  EXPECT_EQ(judge(found).lost, 1);
  EXPECT_FALSE(judge(found).holds());
}

TEST(verdict, a_user_whose_card_did_not_come_back_is_lost) {
  auto found = everything_arrived();
  found.saved_cards.pop_back();
  EXPECT_EQ(judge(found).lost, 1);
  EXPECT_FALSE(judge(found).holds());
}

TEST(verdict, a_user_with_two_cards_is_lost) {
  auto found = everything_arrived();
  found.created_cards.push_back({13, 2});
  EXPECT_EQ(judge(found).lost, 1);
}

TEST(verdict, a_user_whose_last_rename_was_not_heard_is_lost) {
  auto found = everything_arrived();
  found.history.pop_back();
  found.copies[1] = {"ada", 1};
  EXPECT_EQ(judge(found).lost, 1);
}

TEST(verdict, a_user_of_whom_an_event_in_between_was_not_heard_is_lost) {
  auto found = everything_arrived();
  found.users[1] = found.copies[1] = {"ada-3", 3};
  found.history.back() = {1, 3, "ada-3"};
  EXPECT_EQ(judge(found).lost, 1);
}

TEST(verdict, a_user_who_was_never_committed_is_a_phantom) {
  auto found = everything_arrived();
  found.history.push_back({3, 1, "edsger"});
  found.copies[3] = {"edsger", 1};
  found.created_cards.push_back({13, 3});
  EXPECT_EQ(judge(found).phantom, 1);
  EXPECT_FALSE(judge(found).holds());
}

TEST(verdict, an_event_of_a_rolled_back_transaction_is_a_phantom_even_if_its_id_was_used_again) {
  auto found = everything_arrived();
  found.history.insert(found.history.begin(), {1, 1, "grace"});
  EXPECT_EQ(judge(found).phantom, 1);
}

TEST(verdict, a_rename_heard_before_the_creation_is_out_of_order) {
  auto found = everything_arrived();
  std::swap(found.history.front(), found.history.back());
  EXPECT_EQ(judge(found).out_of_order, 1);
  EXPECT_EQ(judge(found).lost, 0);
  EXPECT_FALSE(judge(found).holds());
}

TEST(verdict, events_of_different_users_have_no_order) {
  auto found = everything_arrived();
  std::swap(found.history[0], found.history[1]);
  EXPECT_TRUE(judge(found).holds());
}

TEST(verdict, an_event_handled_twice_was_not_absorbed) {
  auto found = everything_arrived();
  found.history.push_back({1, 2, "ada-2"});
  EXPECT_EQ(judge(found).handled_twice, 1);
  EXPECT_FALSE(judge(found).holds());
}

TEST(verdict, rows_that_wait_and_messages_given_up_break_it) {
  auto waiting = everything_arrived();
  waiting.waiting = 1;
  EXPECT_FALSE(judge(waiting).holds());
  auto dead_row = everything_arrived();
  dead_row.dead_rows = 1;
  EXPECT_FALSE(judge(dead_row).holds());
  auto dead_letter = everything_arrived();
  dead_letter.dead_letters = 1;
  EXPECT_FALSE(judge(dead_letter).holds());
}

}  // namespace
}  // namespace user_card::demo
