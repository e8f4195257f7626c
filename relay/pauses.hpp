// What is paused now, as the table said last, and when each pause ends by itself. Pure; owned by
// the relay core, which obeys.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "outbox/pause.hpp"
#include "relay/row.hpp"

namespace outboxd::relay {

struct pause {
  outbox::pause_in_force what;  // as it was read
  time_point since{};
  std::optional<time_point> ends_at;
};

struct pause_event {
  bool began = false;  // else it has ended
  pause what;
};

// Stands for a paused key among the rows that its key waits for: before every row.
inline const outbox::row_ref pause_mark{};

class pauses {
 public:
  // Times are told no further away than this: a clock that counts nanoseconds ends after 292 years.
  static constexpr std::chrono::milliseconds horizon = std::chrono::hours(24 * 36'525);

  // The table's word. Answers with what has begun and what is over since the last one.
  std::vector<pause_event> update(const std::vector<outbox::pause_in_force>& told, time_point now) {
    std::vector<pause> next;
    for (const outbox::pause_in_force& p : told) {
      pause one{.what = p, .since = now - std::min(p.age, horizon), .ends_at = std::nullopt};
      if (p.ends_in) one.ends_at = now + std::min(*p.ends_in, horizon);
      next.push_back(std::move(one));
    }
    std::vector<pause_event> events;
    for (const pause& p : now_)
      if (!contains(next, p.what.scope)) events.push_back({false, p});
    for (const pause& p : next)
      if (!contains(now_, p.what.scope)) events.push_back({true, p});
    now_ = std::move(next);
    return events;
  }

  // Those whose time is over.
  std::vector<pause_event> expire(time_point now) {
    std::vector<pause_event> over;
    std::erase_if(now_, [&](const pause& p) {
      if (!p.ends_at || *p.ends_at > now) return false;
      over.push_back({false, p});
      return true;
    });
    return over;
  }
  std::optional<time_point> next_end() const {
    std::optional<time_point> next;
    for (const pause& p : now_)
      if (p.ends_at) next = std::min(next.value_or(*p.ends_at), *p.ends_at);
    return next;
  }

  bool everything() const { return contains(now_, {}); }
  std::size_t keys() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        now_, [](const pause& p) { return p.what.scope.ordering_key.has_value(); }));
  }
  const std::vector<pause>& now() const { return now_; }
  void clear() { now_.clear(); }

 private:
  static bool contains(const std::vector<pause>& all, const outbox::pause_scope& scope) {
    return std::ranges::any_of(all, [&](const pause& p) { return p.what.scope == scope; });
  }

  std::vector<pause> now_;
};

}  // namespace outboxd::relay
