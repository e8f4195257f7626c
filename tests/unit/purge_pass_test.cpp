#include "outbox/purge_pass.hpp"

#include <gtest/gtest.h>

namespace outboxd::outbox {
namespace {

using namespace std::chrono_literals;

constexpr purge_pass::time_point now{1h};
constexpr bool end = true;

TEST(purge_pass, goes_page_by_page_and_begins_again_at_the_first_row_that_stayed) {
  purge_pass pass;
  EXPECT_EQ(pass.next(now), 0);
  pass.looked_at(1'000, std::nullopt, !end);
  EXPECT_EQ(pass.next(now), 1'000);
  pass.looked_at(2'000, 1'501, !end);
  EXPECT_EQ(pass.next(now), 2'000);
  pass.looked_at(2'300, 2'001, end);
  EXPECT_EQ(pass.next(now), 1'500);
}

TEST(purge_pass, where_none_stayed_it_begins_behind_the_last) {
  purge_pass pass;
  pass.next(now);
  pass.looked_at(1'000, std::nullopt, end);
  EXPECT_EQ(pass.next(now), 1'000);
  pass.looked_at(0, std::nullopt, end);
  EXPECT_EQ(pass.next(now), 1'000) << "the table is empty there";
}

TEST(purge_pass, once_an_hour_it_begins_at_the_first_id_and_never_in_the_middle_of_a_pass) {
  purge_pass pass;
  pass.next(now);
  pass.looked_at(1'000, 901, end);
  EXPECT_EQ(pass.next(now + 59min), 900);
  pass.looked_at(1'900, 901, !end);
  EXPECT_EQ(pass.next(now + 1h), 1'900);
  pass.looked_at(2'000, 1'901, end);
  EXPECT_EQ(pass.next(now + 1h), 0);
  pass.looked_at(10, 5, end);
  EXPECT_EQ(pass.next(now + 1h), 4);
}

TEST(purge_pass, a_page_that_was_not_answered_is_not_asked_for_again_before_an_hour) {
  purge_pass pass;
  pass.next(now);
  pass.looked_at(1'000, 901, end);
  EXPECT_EQ(pass.next(now + 1h), 0);
  EXPECT_EQ(pass.next(now + 1h), 900) << "the way from the first id took too long";
  pass.looked_at(1'000, 901, end);
  EXPECT_EQ(pass.next(now + 2h), 0);
}

}  // namespace
}  // namespace outboxd::outbox
