#include "outbox/lead_fsm.hpp"

#include <utility>

namespace outboxd::outbox {

std::vector<lead_action> lead_fsm::resume(const lead_event& event, time_point now) {
  now_ = now;
  std::visit([this](const auto& e) { on(e); }, event);
  return std::exchange(actions_, {});
}

void lead_fsm::on(const lead_input::start&) {
  if (phase_ != phase::idle) return;
  report(lead_state::connecting, "");
  look_around();
}

void lead_fsm::on(const lead_input::ready&) {
  if (phase_ == phase::looking) try_lead();
}

void lead_fsm::on(const lead_input::not_ready& e) {
  if (phase_ != phase::looking) return;
  phase_ = phase::not_ready;
  wake_at_ = now_ + look_again_every;
  report(lead_state::not_ready, e.why);
}

void lead_fsm::on(const lead_input::refused& e) {
  if (phase_ != phase::trying) return;
  phase_ = phase::standby;
  wake_at_ = asked_at_ + try_every;
  report(lead_state::standby, e.holder.empty() ? "another instance leads" : "led by " + e.holder);
}

void lead_fsm::on(const lead_input::gained& e) {
  if (phase_ != phase::trying) return;
  phase_ = phase::leading;
  answered_at_ = asked_at_;
  ping_outstanding_ = false;
  wake_at_ = asked_at_ + ping_every;
  report(lead_state::leading, "epoch " + std::to_string(e.epoch));
  actions_.emplace_back(lead_output::report_gained{e.epoch});
}

void lead_fsm::on(const lead_input::pong&) {
  if (phase_ != phase::leading || !ping_outstanding_) return;
  ping_outstanding_ = false;
  answered_at_ = asked_at_;
  wake_at_ = asked_at_ + ping_every;
}

void lead_fsm::on(const lead_input::failed& e) {
  switch (phase_) {
    case phase::looking:
    case phase::not_ready:
    case phase::trying:
    case phase::standby:
    case phase::leading:
      give_up_session(e.why);
      break;
    case phase::idle:
    case phase::pausing:  // the same loss, told twice
    case phase::closing:
    case phase::stopped:
      break;
  }
}

void lead_fsm::on(const lead_input::time_passed&) {
  if (!wake_at_ || now_ < *wake_at_) return;
  switch (phase_) {
    case phase::not_ready:
    case phase::pausing:
      look_around();
      break;
    case phase::standby:
      try_lead();
      break;
    case phase::leading:
      ping_or_give_up();
      break;
    case phase::idle:
    case phase::looking:
    case phase::trying:
    case phase::closing:
    case phase::stopped:
      break;
  }
}

void lead_fsm::on(const lead_input::stop&) {
  if (phase_ == phase::closing || phase_ == phase::stopped) return;
  wake_at_.reset();
  if (phase_ == phase::idle) {
    phase_ = phase::stopped;
    return;
  }
  phase_ = phase::closing;
  actions_.emplace_back(lead_output::close_session{});
}

void lead_fsm::on(const lead_input::closed&) {
  if (phase_ != phase::closing) return;
  phase_ = phase::stopped;
  report(lead_state::stopped, "");
}

void lead_fsm::look_around() {
  phase_ = phase::looking;
  wake_at_.reset();
  actions_.emplace_back(lead_output::look_around{});
}

void lead_fsm::try_lead() {
  phase_ = phase::trying;
  wake_at_.reset();
  asked_at_ = now_;
  actions_.emplace_back(lead_output::try_lead{});
}

void lead_fsm::ping_or_give_up() {
  if (now_ - answered_at_ >= give_up_after) {
    give_up_session("no answer from the database for " +
                    std::to_string(give_up_after.count() / 1000) + " s");
    return;
  }
  if (!ping_outstanding_) {
    ping_outstanding_ = true;
    asked_at_ = now_;
    actions_.emplace_back(lead_output::ping{});
  }
  wake_at_ = answered_at_ + give_up_after;
}

// Whatever the reason, the session goes: a lock that was taken in it is released with it.
void lead_fsm::give_up_session(const std::string& why) {
  const bool was_leading = leading();
  phase_ = phase::pausing;
  wake_at_ = now_ + pause_after_failure;
  actions_.emplace_back(lead_output::abandon_session{});
  if (was_leading) actions_.emplace_back(lead_output::report_lost{why});
  report(lead_state::connecting, why);
}

void lead_fsm::report(lead_state state, std::string detail) {
  if (reported_ && reported_->state == state && reported_->detail == detail) return;
  reported_ = lead_output::report_state{state, std::move(detail)};
  actions_.emplace_back(*reported_);
}

}  // namespace outboxd::outbox
