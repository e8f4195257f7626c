// The life of the lead: connect, look whether the schema is there, try the lock as a stand-by, lead
// and ping, give up when the session is lost or in doubt. Pure: what happened goes in with its
// time, what to do comes out; pg_leadership obeys.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "outbox/leadership.hpp"

namespace outboxd::outbox {

namespace lead_input {
struct start {};
struct ready {};  // connected, and the schema is there
struct not_ready {
  std::string why;
};  // connected, but not that
struct refused {
  std::string holder;
};  // somebody else has the lock
struct gained {
  std::int64_t epoch;
};               // we have it, and the epoch has grown
struct pong {};  // from the session that took the lock
struct failed {
  std::string why;
};                      // a statement failed, or the session is gone
struct time_passed {};  // wake_at() has come
struct stop {};
struct closed {};  // after close_session
}  // namespace lead_input

using lead_event =
    std::variant<lead_input::start, lead_input::ready, lead_input::not_ready, lead_input::refused,
                 lead_input::gained, lead_input::pong, lead_input::failed, lead_input::time_passed,
                 lead_input::stop, lead_input::closed>;

namespace lead_output {
struct look_around {};      // connect where necessary; answered by ready, not_ready or failed
struct try_lead {};         // answered by gained, refused or failed
struct ping {};             // answered by pong or failed
struct abandon_session {};  // cut it off; whatever it still answers means nothing
struct close_session {};    // for good; answered by closed
struct report_state {
  lead_state state;
  std::string detail;
};
struct report_gained {
  std::int64_t epoch;
};
struct report_lost {
  std::string reason;
};
}  // namespace lead_output

using lead_action =
    std::variant<lead_output::look_around, lead_output::try_lead, lead_output::ping,
                 lead_output::abandon_session, lead_output::close_session,
                 lead_output::report_state, lead_output::report_gained, lead_output::report_lost>;

class lead_fsm {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  // A stand-by takes over within this time of the lock becoming free.
  static constexpr std::chrono::milliseconds try_every{500};
  static constexpr std::chrono::milliseconds ping_every{2'000};
  // Counted from when the last answered ping was sent: less than the server's idle_session_timeout,
  // so that we stop before the server gives the lock to somebody else.
  static constexpr std::chrono::milliseconds give_up_after{8'000};
  static constexpr std::chrono::milliseconds server_gives_up_after{10'000};
  static constexpr std::chrono::milliseconds look_again_every{2'000};
  // On top of the lane's own back-off, which covers failed connects only.
  static constexpr std::chrono::milliseconds pause_after_failure{200};

  std::vector<lead_action> resume(const lead_event& event, time_point now);

  // When it wants time_passed.
  std::optional<time_point> wake_at() const { return wake_at_; }

  bool leading() const { return phase_ == phase::leading; }
  // The server has answered so lately that it cannot have given the lead to somebody else.
  bool leads_for_certain(time_point now) const {
    return leading() && now - answered_at_ < give_up_after;
  }
  bool stopped() const { return phase_ == phase::stopped; }

 private:
  enum class phase {
    idle,
    looking,
    not_ready,
    pausing,
    trying,
    standby,
    leading,
    closing,
    stopped
  };

  void on(const lead_input::start&);
  void on(const lead_input::ready&);
  void on(const lead_input::not_ready&);
  void on(const lead_input::refused&);
  void on(const lead_input::gained&);
  void on(const lead_input::pong&);
  void on(const lead_input::failed&);
  void on(const lead_input::time_passed&);
  void on(const lead_input::stop&);
  void on(const lead_input::closed&);

  void look_around();
  void try_lead();
  void ping_or_give_up();
  void give_up_session(const std::string& why);
  void report(lead_state state, std::string detail);

  phase phase_ = phase::idle;
  time_point now_{};
  std::optional<time_point> wake_at_;
  time_point asked_at_{};     // when the last try or ping was sent
  time_point answered_at_{};  // when the last try or ping that was answered was sent
  bool ping_outstanding_ = false;
  std::optional<lead_output::report_state> reported_;
  std::vector<lead_action> actions_;
};

}  // namespace outboxd::outbox
