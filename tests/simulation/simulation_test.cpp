// Many seeds of every story. OUTBOXD_SEEDS=20000 runs more of them; OUTBOXD_SEED=17 runs one, which
// does the same every time.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/simulation/simulation.hpp"
#include "tests/simulation/trace.hpp"

namespace outboxd::simulation {
namespace {

std::optional<unsigned> number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  return static_cast<unsigned>(std::stoul(text));
}

void run_one(scenario (*story)(unsigned), unsigned seed) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string again = "OUTBOXD_SEED=" + std::to_string(seed) +
                            " simulation_test --gtest_filter=" + test->test_suite_name() + "." +
                            test->name();
  tracing = std::getenv("OUTBOXD_TRACE") != nullptr;
  try {
    simulation(seed, story(seed)).run();
  } catch (const violation& broken) {
    FAIL() << broken.what() << "\nrepeat with: " << again;
  }
}

void run(scenario (*story)(unsigned), unsigned seeds) {
  if (const auto one = number("OUTBOXD_SEED")) return run_one(story, *one);
  const unsigned all = number("OUTBOXD_SEEDS").value_or(seeds);
  for (unsigned seed = 0; seed < all; ++seed) {
    run_one(story, seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

scenario any(unsigned seed) {
  scenario s;
  s.replica = small_and_varied(seed);
  s.delete_on_ack = seed % 6 == 5;
  if (seed % 10 == 9) s.writing.scheduled = 60;
  return s;
}

TEST(simulation, without_outages_nothing_is_delivered_twice) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.going_wrong.alarm = 5;
        return s;
      },
      300);
}

TEST(simulation, rows_that_fail_hold_their_keys_and_go_out_in_order) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.going_wrong.troubles = 15;
        return s;
      },
      300);
}

TEST(simulation, lost_connections_lose_and_reorder_nothing) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.going_wrong = {.cut = 8, .closed = 4, .alarm = 4, .troubles = 8};
        return s;
      },
      300);
}

TEST(simulation, a_database_that_fails_or_crashes_loses_and_reorders_nothing) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.writing.asynchronous = seed % 2 == 0 ? 50 : 0;
        s.going_wrong = {.troubles = 8, .statements = 30, .away = 4, .crash = 6};
        return s;
      },
      300);
}

TEST(simulation, two_leaders_at_once_lose_and_reorder_nothing) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.replicas = 2;
        s.going_wrong = {.troubles = 15, .lead_moves = 12, .lead_lost = 4, .replica_dies = 2};
        return s;
      },
      300);
}

TEST(simulation, whatever_goes_wrong_the_promises_are_kept) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.replicas = 1 + seed % 3;
        s.writing.asynchronous = 30;
        s.writing.early_ids = 2;
        s.going_wrong = {.cut = 4,
                         .closed = 2,
                         .alarm = 2,
                         .troubles = 8,
                         .statements = 15,
                         .away = 2,
                         .crash = 2,
                         .lead_moves = 4,
                         .lead_lost = 2,
                         .replica_dies = 1};
        return s;
      },
      300);
}

}  // namespace
}  // namespace outboxd::simulation
