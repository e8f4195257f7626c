// A seed is worth something only if it repeats the run.
#include "tests/chaos/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace outboxd::chaos {
namespace {

using namespace std::chrono_literals;
using testing::SizeIs;

std::vector<fault> all_tracks(moment length, std::uint64_t seed, profile run = profile::single) {
  std::vector<fault> all;
  for (std::size_t i = 0; i < tracks; ++i) {
    const auto some = plan(static_cast<track>(i), length, seed, run);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::vector<std::tuple<fault_kind, moment, moment, std::uint64_t>> comparable(
    const std::vector<fault>& faults) {
  std::vector<std::tuple<fault_kind, moment, moment, std::uint64_t>> all;
  for (const fault& f : faults) all.emplace_back(f.kind, f.at, f.lasts, f.luck);
  return all;
}

TEST(chaos_plan, is_the_same_for_the_same_seed_and_another_for_another) {
  EXPECT_EQ(comparable(all_tracks(5min, 7)), comparable(all_tracks(5min, 7)));
  EXPECT_NE(comparable(all_tracks(5min, 7)), comparable(all_tracks(5min, 8)));
}

TEST(chaos_plan, begins_in_the_same_way_however_long_it_is) {
  const auto shorter = comparable(plan(track::network, 1min, 7));
  auto longer = comparable(plan(track::network, 10min, 7));
  longer.resize(shorter.size());
  EXPECT_EQ(shorter, longer);
}

TEST(chaos_plan, uses_every_fault_before_it_repeats_one) {
  std::set<fault_kind> seen;
  for (const profile run : {profile::single, profile::cluster}) {
    for (const fault& f : all_tracks(20min, 7, run)) {
      EXPECT_TRUE(belongs_to(f.kind, run)) << to_string(f.kind);
      seen.insert(f.kind);
    }
  }
  EXPECT_THAT(seen, SizeIs(fault_kinds));
  std::set<fault_kind> first_of_broker;
  const auto broker = plan(track::broker, 10min, 7);
  for (std::size_t i = 0; i < 10; ++i) first_of_broker.insert(broker.at(i).kind);
  EXPECT_THAT(first_of_broker, SizeIs(10));
}

TEST(chaos_plan, keeps_to_its_track_and_its_time) {
  for (std::size_t i = 0; i < tracks; ++i) {
    moment free{0};
    for (const fault& f : plan(static_cast<track>(i), 10min, 7)) {
      EXPECT_EQ(track_of(f.kind), static_cast<track>(i));
      EXPECT_GE(f.at, free) << "before the last one was over";
      EXPECT_LT(f.at, moment(10min));
      free = f.at + f.lasts;
    }
  }
}

TEST(chaos_plan, every_fault_has_a_name_of_its_own) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < fault_kinds; ++i) names.insert(to_string(static_cast<fault_kind>(i)));
  EXPECT_THAT(names, SizeIs(fault_kinds));
}

}  // namespace
}  // namespace outboxd::chaos
