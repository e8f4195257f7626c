// The driver behind relay.hpp: turns what the seams report into events of the core, and the core's
// actions into calls of the seams. Not for others to include.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "relay/core.hpp"
#include "relay/purge_pace.hpp"
#include "relay/relay.hpp"

namespace outboxd::relay {

inline time_point clock_now() {
  return std::chrono::steady_clock::now();
}

inline std::chrono::microseconds since(time_point t, time_point now) {
  return std::chrono::duration_cast<std::chrono::microseconds>(now - t);
}

class relay::impl final : public std::enable_shared_from_this<relay::impl>,
                          public outbox::leadership_events,
                          public publisher_events {
 public:
  impl(boost::asio::any_io_executor executor, outbox::store& store, outbox::leadership& leadership,
       publisher& broker, options opts, base::logger& log, observer& metrics);

  void start();

  void drain(std::chrono::milliseconds limit, std::function<void(drain_result)> done);
  status current() const;
  void shut_down();

  // outbox::leadership_events
  void lead_gained(std::int64_t epoch) override;
  void lead_lost(const std::string& reason) override;
  void notified() override;
  void lead_state_changed(outbox::lead_state state, const std::string& detail) override;

  // publisher_events
  void lane_opened(lane_id lane) override;
  void lane_closed(lane_id lane, doubt why, int code, const std::string& text) override;
  void lane_blocked(lane_id lane, bool blocked, const std::string& reason) override;
  void outcomes(lane_id lane, std::span<const outcome> batch) override;

 private:
  struct lane_info {
    lane_status shown;
    bool was_open = false;
    time_point blocked_at{};
  };

  // A completion that comes after we are gone does nothing.
  template <typename T>
  outbox::store::handler<T> then(void (impl::*member)(base::result<T>)) {
    return [weak = weak_from_this(), member](base::result<T> r) {
      if (const auto self = weak.lock()) {
        self->note_store(r);
        ((*self).*member)(std::move(r));
        self->pump();
      }
    };
  }
  template <typename T>
  void note_store(const base::result<T>& r);
  // That the pauses can be read says nothing of the messages.
  void note_store(const base::result<std::vector<outbox::pause_in_force>>& r) {
    if (r.has_error()) note_store<std::vector<outbox::pause_in_force>>(r);
  }

  void on_read(base::result<outbox::read_answer> r);
  void on_bodies(base::result<std::vector<outbox::loaded_body>> r) {
    core_.bodies_loaded(std::move(r), clock_now());
  }
  void on_failed_rows(base::result<std::vector<outbox::failed_row>> r) {
    core_.failed_loaded(r, clock_now());
  }
  void on_pauses(base::result<std::vector<outbox::pause_in_force>> r) {
    core_.pauses_loaded(r, clock_now());
  }
  void on_settled(base::result<outbox::settle_answer> r);
  void on_decided(base::result<outbox::decide_answer> r);
  void note_locked_rows();
  void on_measured(base::result<outbox::backlog> r);
  void on_purged(base::result<std::size_t> r);

  void pump();
  void poll_again_at(std::optional<time_point> next);
  void act(do_read&);
  void act(do_load_bodies&);
  void act(do_load_failed&);
  void act(do_load_pauses&);
  void act(do_publish&);
  void act(do_settle&);
  void act(do_decide&);
  void act(do_want_quarantine&);
  void act(do_renew&);
  void act(do_tell&);
  void act(do_tell_pause&);
  void act(do_try_wake_lock&);
  void act(do_release_wake_lock&);
  void after_writing(void (*what)(impl&));
  void try_wake_lock();
  void renew(lane_id lane);
  void stand_by();
  void keep_house();
  void purge_if_due();
  void count_blocked_time(lane_info& lane, time_point now);
  void note_hold(const hold_event& e);
  void note_pause(const pause_event& e);
  void note_failure(const outcome& o, const outbox::message& m, verdict what);
  void finish_drain(drain_result result);

  outbox::store& store_;
  outbox::leadership& leadership_;
  publisher& broker_;
  options opts_;
  base::logger& log_;
  observer& metrics_;
  core core_;

  bool broker_started_ = false;   // a stand-by needs no connection to the broker
  std::vector<lane_info> lanes_;  // the last one is the quarantine
  outbox::lead_state lead_ = outbox::lead_state::connecting;
  std::string lead_detail_;
  bool store_ok_ = true;
  std::string store_detail_;
  bool rows_locked_ = false;

  std::optional<outbox::backlog> backlog_;
  time_point measured_at_{}, measure_all_at_{}, purge_at_{};
  bool measuring_ = false, purging_ = false;

  boost::asio::steady_timer poll_timer_, housekeeping_, purge_timer_, drain_timer_;
  purge_pace purge_pace_;
  std::optional<time_point> poll_at_;  // what poll_timer_ is set to
  std::vector<action> todo_;

  bool draining_ = false, stopping_ = false;
  time_point drain_deadline_{};
  std::function<void(drain_result)> drain_done_;
};

}  // namespace outboxd::relay
