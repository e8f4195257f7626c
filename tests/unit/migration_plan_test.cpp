// Which migration comes next.
#include "outbox/migration_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace outboxd;
using outbox::migration_status;
using outbox::recorded_version;
using testing::HasSubstr;

namespace {

const std::vector<migrations::migration> files = {
    {1, "first", "CREATE", "DROP"}, {2, "second", "ALTER", ""}, {3, "third", "INSERT", ""}};

recorded_version applied(std::size_t number) {
  const auto& m = files.at(number - 1);
  return {m.version, std::string(m.title), migrations::checksum(m), "", ""};
}

TEST(migration_plan, starts_with_the_first_and_ends_after_the_last) {
  EXPECT_EQ(outbox::next_file({}, files).value()->version, 1);
  EXPECT_EQ(outbox::next_file({applied(1), applied(2)}, files).value()->version, 3);
  EXPECT_EQ(outbox::next_file({applied(1), applied(2), applied(3)}, files).value(), nullptr);
}

TEST(migration_plan, refuses_a_version_it_does_not_know) {
  const recorded_version fourth{4, "fourth", "abc", "", ""};
  EXPECT_EQ(outbox::compare(fourth, files), migration_status::unknown);
  EXPECT_THAT(outbox::next_file({applied(1), applied(2), applied(3), fourth}, files).error().text,
              HasSubstr("at version 4 (fourth), this outboxd knows versions up to 3"));
}

TEST(migration_plan, refuses_a_version_applied_from_another_file) {
  auto first = applied(1);
  first.checksum = "abc";
  EXPECT_EQ(outbox::compare(first, files), migration_status::changed);
  EXPECT_THAT(outbox::next_file({first}, files).error().text, HasSubstr("1 (first)"));
}

TEST(migration_plan, refuses_a_hole) {
  EXPECT_THAT(outbox::next_file({applied(2)}, files).error().text,
              HasSubstr("1 (first) is missing"));
}

TEST(migration_plan, the_checksum_is_the_sha_256_of_the_file) {
  // printf CREATE | sha256sum
  EXPECT_EQ(migrations::checksum(files[0]),
            "fde9c5013bf506100d196c3c865dc3acdc36530b46f661826f62a1b0463de3b3");
}

}  // namespace
