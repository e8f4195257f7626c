// When to read next, and when to hold the wake lock. While the leader holds it, every insert
// notifies; it is held only while idle, so that writers pay nothing when the relay is busy anyway:
//   empty read -> try the lock -> got it: read once more -> still empty: wait for a notification.
// Whoever inserted before we held the lock has ended and is visible to that second read; whoever
// comes later fails to share the lock and notifies. Only try-locks: a waiting exclusive request
// would make every writer notify. Pure; owned by the relay core.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace outboxd::outbox {

class wake {
 public:
  using duration = std::chrono::milliseconds;

  // use_lock false: poll only.
  wake(bool use_lock, duration poll_interval)
      : use_lock_(use_lock), poll_interval_(poll_interval) {}

  struct advice {
    bool try_lock = false;      // ask for the wake lock; answer with lock_answered()
    bool release_lock = false;  // give it back
    // The next read is due after this; none: wait for the answer.
    std::optional<duration> read_after = std::nullopt;
  };

  // A read came back. found: so many rows that were not known. more: it stopped at its limit.
  advice read_done(std::size_t found, bool more);

  // The answer to try_lock.
  advice lock_answered(bool got);

  // The session with the lock is gone.
  void reset();

  bool idle() const { return state_ == state::idle; }

 private:
  enum class state { busy, trying, confirming, idle };

  state state_ = state::busy;
  bool asked_ = false;  // for the lock, and not answered yet
  bool use_lock_;
  duration poll_interval_;
  int refusals_ = 0;  // of the lock, in a row: some writer's transaction is open
};

}  // namespace outboxd::outbox
