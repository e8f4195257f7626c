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
      400);
}

TEST(simulation, rows_that_fail_hold_their_keys_and_go_out_in_order) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.going_wrong.troubles = 15;
        return s;
      },
      400);
}

TEST(simulation, lost_connections_lose_and_reorder_nothing) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.going_wrong = {.cut = 8, .closed = 4, .alarm = 4, .troubles = 8};
        return s;
      },
      400);
}

TEST(simulation, a_database_that_fails_or_crashes_loses_and_reorders_nothing) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.writing.asynchronous = seed % 2 == 0 ? 50 : 0;
        s.going_wrong = {.troubles = 8, .statements = 30, .away = 4, .locks = 20, .crash = 6};
        return s;
      },
      400);
}

TEST(simulation, two_leaders_at_once_lose_and_reorder_nothing) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.replicas = 2;
        s.going_wrong = {.troubles = 15, .lead_moves = 12, .lead_lost = 4, .replica_dies = 2};
        return s;
      },
      400);
}

TEST(simulation, bad_rows_are_dead_and_take_no_other_with_them) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.writing.poison = 20;
        s.writing.never_routes = 5;
        s.writing.too_large = 1'001;
        s.writing.too_far = 10min;
        s.replica.relay.max_delay = 1min;
        s.replica.relay.block_on_dead = seed % 3 == 0;
        s.going_wrong.cut = seed % 2 == 0 ? 4 : 0;
        return s;
      },
      400);
}

TEST(simulation, while_one_destination_is_broken_the_others_flow) {
  run(
      [](unsigned seed) {
        constexpr trouble kinds[] = {trouble::missing, trouble::forbidden, trouble::unroutable,
                                     trouble::full, trouble::silent};
        scenario s = any(seed);
        s.replica.relay.max_in_flight = 40;
        s.replica.relay.batch_size = 50;
        s.writing.inserts = 15;
        s.writing.optional = 0;  // to a destination that routes nothing they go very well
        s.writing.never_routes = seed % 2 == 0 ? 2 : 0;
        s.broken_how = kinds[seed % 5];
        s.broken = s.broken_how == trouble::missing || s.broken_how == trouble::forbidden
                       ? services::destinations()[4]
                       : services::destinations()[seed % 6];
        s.patience = 3s;
        s.steps = 3'000;
        return s;
      },
      60);
}

TEST(simulation, pipelined_keys_keep_their_order_but_for_nacks_and_returns) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.replica.relay.pipelined = true;
        s.replicas = 1 + seed % 2;
        s.writing.keys = 2;
        s.going_wrong = {.cut = 5, .closed = 2, .alarm = 2, .troubles = 6, .lead_moves = 3};
        return s;
      },
      400);
}

TEST(simulation, operators_and_giving_up_lose_nothing) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.replica.relay.block_on_dead = seed % 2 == 0;
        s.replica.relay.give_up_after = 50ms;
        s.replica.relay.retry_max = 20ms;
        s.writing.operators = 30;
        s.writing.never_routes = 10;
        s.writing.poison = 10;
        s.going_wrong = {.cut = 2, .troubles = 10};
        return s;
      },
      400);
}

TEST(simulation, what_operators_pause_is_spared_and_goes_out_in_order_afterwards) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.replica.relay.pipelined = seed % 3 == 0;
        s.replicas = 1 + seed % 2;
        s.writing.pauses = 30;
        s.writing.never_routes = seed % 2 == 0 ? 5 : 0;
        if (seed % 2 == 0)
          s.going_wrong = {.cut = 2, .troubles = 10, .statements = 10, .lead_moves = 2};
        return s;
      },
      400);
}

TEST(simulation, whatever_goes_wrong_the_promises_are_kept) {
  run(
      [](unsigned seed) {
        scenario s = any(seed);
        s.replicas = 1 + seed % 3;
        s.writing.asynchronous = 30;
        s.writing.early_ids = 2;
        s.writing.pauses = 3;
        s.going_wrong = {.cut = 4,
                         .closed = 2,
                         .alarm = 2,
                         .troubles = 8,
                         .statements = 15,
                         .away = 2,
                         .locks = 10,
                         .crash = 2,
                         .lead_moves = 4,
                         .lead_lost = 2,
                         .replica_dies = 1};
        return s;
      },
      400);
}

}  // namespace
}  // namespace outboxd::simulation
