#include "service/interruption.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <initializer_list>

namespace outboxd::service {
namespace {

using testing::ExitedWithCode;
using testing::KilledBySignal;

// Exit status 0: all of them were noted, and the work may end between two steps.
[[noreturn]] void work_while(std::initializer_list<int> signals) {
  const interruption signal;
  for (const int s : signals) std::raise(s);
  std::_Exit(signal.came() ? 0 : 1);
}

TEST(interruption, the_first_signal_is_noted) {
  for (const int first : {SIGINT, SIGTERM, SIGHUP})
    EXPECT_EXIT(work_while({first}), ExitedWithCode(0), "");
  EXPECT_EXIT(work_while({}), ExitedWithCode(1), "");
}

TEST(interruption, the_second_ends_the_process_whichever_it_is) {
  EXPECT_EXIT(work_while({SIGINT, SIGINT}), KilledBySignal(SIGINT), "");
  EXPECT_EXIT(work_while({SIGINT, SIGTERM}), KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(work_while({SIGTERM, SIGINT}), KilledBySignal(SIGINT), "");
  EXPECT_EXIT(work_while({SIGHUP, SIGTERM}), KilledBySignal(SIGTERM), "");
}

TEST(interruption, a_terminal_that_is_gone_may_say_so_twice) {
  EXPECT_EXIT(work_while({SIGHUP, SIGHUP}), ExitedWithCode(0), "");
}

TEST(interruption, what_the_signals_did_before_they_do_again) {
  { const interruption done; }
  EXPECT_EXIT(std::raise(SIGTERM), KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace outboxd::service
