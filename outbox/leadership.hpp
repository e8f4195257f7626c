// Who leads, and how the leader learns that there is work: one session holds the lead (an advisory
// lock), listens, and takes the wake lock while the leader is idle. Implemented by pg_leadership.
// All calls and all events happen on the executor it was made with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace outboxd::outbox {

enum class lead_state {
  connecting,  // no session yet, or it was lost; detail says why
  not_ready,   // connected, but the schema is missing or too old, or a grant is missing
  standby,     // another instance leads
  leading,
  stopped,
};

constexpr std::string_view to_string(lead_state s) {
  switch (s) {
    case lead_state::connecting:
      return "connecting";
    case lead_state::not_ready:
      return "not_ready";
    case lead_state::standby:
      return "standby";
    case lead_state::leading:
      return "leading";
    case lead_state::stopped:
      return "stopped";
  }
  return "?";
}

class leadership_events {
 public:
  virtual ~leadership_events() = default;
  // epoch grows with every take-over; decisions carry it.
  virtual void lead_gained(std::int64_t epoch) = 0;
  // The session is gone or in doubt: stop reading and publishing now.
  virtual void lead_lost(const std::string& reason) = 0;
  // A writer committed a row while the wake lock was held.
  virtual void notified() = 0;
  // For /readyz and logs; called on every change, before lead_gained and after lead_lost.
  virtual void lead_state_changed(lead_state state, const std::string& detail) = 0;
};

class leadership {
 public:
  virtual ~leadership() = default;

  // Tries for ever, with back-off, until stop(). Call once.
  virtual void start(leadership_events& events) = 0;

  // Gives the lead away and closes the session; idempotent; legal before start(). `done` is called
  // once the session is closed or given up (bounded time).
  virtual void stop(std::function<void()> done) = 0;

  // Whether the lead is ours for certain, by the clock: false for a process that has just been
  // stopped for so long that another may lead, even before lead_lost().
  virtual bool leads_for_certain() const = 0;

  // Only while leading. try_wake_lock answers true when every later insert will notify; false when
  // some transaction that has inserted is still open. An answer after lead_lost() is a failure.
  virtual void try_wake_lock(std::function<void(base::result<bool>)> done) = 0;
  virtual void release_wake_lock() = 0;
};

}  // namespace outboxd::outbox
