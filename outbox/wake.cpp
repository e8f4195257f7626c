#include "outbox/wake.hpp"

#include <algorithm>
#include <utility>

namespace outboxd::outbox {

namespace {

using namespace std::chrono_literals;

// After a read that took all there was, let rows gather: a statement costs the server as much as a
// hundred rows of it, and that is taken from the writers. One that found several will find more.
constexpr wake::duration gather = 1ms;
constexpr std::size_t several = 4;
constexpr wake::duration gather_several = 5ms;

// While some writer's transaction keeps the lock from us.
constexpr wake::duration refused_min = 2ms;
constexpr wake::duration refused_max = 100ms;

}  // namespace

wake::advice wake::read_done(std::size_t found, bool more) {
  if (found > 0 || more) {
    const bool release = state_ == state::idle || state_ == state::confirming;
    state_ = state::busy;
    refusals_ = 0;
    const duration pause = found < several ? gather : gather_several;
    return {.release_lock = release, .read_after = more ? duration{0} : pause};
  }
  if (!use_lock_) return {.read_after = poll_interval_};
  switch (state_) {
    case state::busy:
      state_ = state::trying;
      // An earlier question may still be out, overtaken by work: its answer serves as well as a new
      // one.
      return {.try_lock = !std::exchange(asked_, true)};
    case state::confirming:
      state_ = state::idle;
      return {.read_after = poll_interval_};
    case state::idle:
      return {.read_after = poll_interval_};
    case state::trying:  // a read for another reason (a row fell due) overtook the lock's answer
      return {};
  }
  return {};
}

wake::advice wake::lock_answered(bool got) {
  asked_ = false;
  if (state_ != state::trying) {
    // Work was found meanwhile: a lock that came too late would only tax the writers.
    return {.release_lock = got};
  }
  if (got) {
    state_ = state::confirming;
    refusals_ = 0;
    return {.read_after = 0ms};
  }
  state_ = state::busy;
  const int doublings = std::min(refusals_++, 10);
  return {.read_after = std::min(refused_max, refused_min * (1 << doublings))};
}

void wake::reset() {
  state_ = state::busy;  // a question that is out will still be answered
  refusals_ = 0;
}

}  // namespace outboxd::outbox
