// The names that code and SQL files share, and what a recorded version means.
#include "outbox/schema.hpp"

#include <gtest/gtest.h>

using namespace outboxd;

namespace {

TEST(schema_names, words_are_replaced_in_one_pass_and_only_when_quoted) {
  outbox::schema_names names;
  names.schema = "outbox_writer";
  names.roles.writer = "w";
  EXPECT_EQ(outbox::fill_in(R"(outbox "outbox".x "outbox_writer" "other" ")", names),
            R"(outbox "outbox_writer".x "w" "other" ")");
}

TEST(schema_names, a_version_is_judged_against_the_one_we_need) {
  using enum outbox::schema_fit;
  EXPECT_EQ(outbox::judge_version({}, 2, 3), missing);
  EXPECT_EQ(outbox::judge_version(0, 2, 3), missing);
  EXPECT_EQ(outbox::judge_version(1, 2, 3), too_old);
  EXPECT_EQ(outbox::judge_version(2, 2, 3), older);
  EXPECT_EQ(outbox::judge_version(3, 2, 3), exact);
  EXPECT_EQ(outbox::judge_version(4, 2, 3), newer);
}

}  // namespace
