#include "relay/relay.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <random>
#include <utility>

#include "relay/core.hpp"
#include "relay/limited_log.hpp"

namespace outboxd::relay {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using outbox::lead_state;

namespace {

constexpr auto housekeeping_interval = 1s;
constexpr auto measure_idle = 15s;    // the gauges, when nothing waits
constexpr auto measure_waiting = 5s;  // and when something does
constexpr auto purge_interval = 10s;
constexpr std::size_t purge_rows = 1'000;
constexpr auto close_limit = 2s;  // for the broker's answer to our goodbye

time_point clock_now() {
  return std::chrono::steady_clock::now();
}

std::chrono::microseconds since(time_point t, time_point now) {
  return std::chrono::duration_cast<std::chrono::microseconds>(now - t);
}

std::function<double()> dice() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
  };
}

}  // namespace

class relay::impl final : public std::enable_shared_from_this<relay::impl>,
                          public outbox::leadership_events,
                          public publisher_events {
 public:
  impl(asio::any_io_executor executor, outbox::store& store, outbox::leadership& leadership,
       publisher& broker, options opts, base::logger& log, observer& metrics)
      : store_(store),
        leadership_(leadership),
        broker_(broker),
        opts_(opts),
        log_(log),
        row_log_(log, 10s),
        metrics_(metrics),
        core_(opts, broker.lanes(), dice()),
        lanes_(broker.lanes()),
        poll_timer_(executor),
        housekeeping_(executor),
        drain_timer_(executor) {}

  void start() {
    broker_.start(*this);
    leadership_.start(*this);
    keep_house();
  }

  void drain(std::chrono::milliseconds limit, std::function<void(drain_result)> done);
  status current() const;
  void shut_down();

  // outbox::leadership_events
  void lead_gained(std::int64_t epoch) override;
  void lead_lost(const std::string& reason) override;
  void notified() override;
  void lead_state_changed(lead_state state, const std::string& detail) override;

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

  void on_read(base::result<outbox::read_answer> r);
  void on_bodies(base::result<std::vector<outbox::loaded_body>> r) {
    core_.bodies_loaded(std::move(r), clock_now());
  }
  void on_failed_rows(base::result<std::vector<outbox::failed_row>> r) {
    core_.failed_loaded(r, clock_now());
  }
  void on_settled(base::result<std::size_t> r) { core_.settled(r, clock_now()); }
  void on_decided(base::result<std::vector<outbox::row_ref>> r);
  void on_measured(base::result<outbox::backlog> r);
  void on_purged(base::result<std::size_t> r);

  void pump();
  void obey(action& a);
  void keep_house();
  void count_blocked_time(lane_info& lane, time_point now);
  void note_failure(const outcome& o, const outbox::message& m, verdict what);
  void finish_drain(drain_result result);

  outbox::store& store_;
  outbox::leadership& leadership_;
  publisher& broker_;
  options opts_;
  base::logger& log_;
  limited_log row_log_;
  observer& metrics_;
  core core_;

  std::vector<lane_info> lanes_;
  lead_state lead_ = lead_state::connecting;
  std::string lead_detail_;
  bool store_ok_ = true;
  std::string store_detail_;

  std::optional<outbox::backlog> backlog_;
  time_point measured_at_{}, purge_at_{};
  bool measuring_ = false, purging_ = false;

  asio::steady_timer poll_timer_, housekeeping_, drain_timer_;
  std::vector<action> todo_;

  bool draining_ = false, stopping_ = false;
  time_point drain_deadline_{};
  std::function<void(drain_result)> drain_done_;
};

// ---- what the core says is done
// ------------------------------------------------------------------

void relay::impl::pump() {
  if (stopping_) return;
  todo_.clear();
  core_.poll(clock_now(), todo_);
  for (action& a : todo_) obey(a);

  if (draining_ && core_.drained()) return finish_drain(drain_result::clean);

  if (const auto next = core_.next_poll()) {
    poll_timer_.expires_at(*next);
    poll_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
      const auto self = weak.lock();
      if (self && !cancelled) self->pump();
    });
  } else {
    poll_timer_.cancel();
  }
}

void relay::impl::obey(action& a) {
  if (auto* read = std::get_if<do_read>(&a)) {
    store_.read(std::move(read->request), then(&impl::on_read));
  } else if (auto* load = std::get_if<do_load_bodies>(&a)) {
    store_.load_bodies(std::move(load->rows), then(&impl::on_bodies));
  } else if (auto* holds = std::get_if<do_load_failed>(&a)) {
    store_.load_failed(holds->limit, then(&impl::on_failed_rows));
  } else if (auto* publish = std::get_if<do_publish>(&a)) {
    metrics_.published(publish->what->msg.body_size);
    broker_.publish(publish->what->lane, publish->what->msg);
  } else if (auto* settle = std::get_if<do_settle>(&a)) {
    store_.settle(std::move(settle->rows), then(&impl::on_settled));
  } else if (auto* decide = std::get_if<do_decide>(&a)) {
    store_.decide(decide->epoch, std::move(decide->decisions), then(&impl::on_decided));
  } else if (std::holds_alternative<do_try_wake_lock>(a)) {
    leadership_.try_wake_lock([weak = weak_from_this()](base::result<bool> got) {
      if (const auto self = weak.lock()) {
        self->core_.wake_lock_answered(got, clock_now());
        self->pump();
      }
    });
  } else {
    leadership_.release_wake_lock();
  }
}

// ---- the database
// --------------------------------------------------------------------------------

template <typename T>
void relay::impl::note_store(const base::result<T>& r) {
  if (r.has_error() && (store_ok_ || store_detail_ != r.error().text)) {
    log_.warn("database.failed", {{"error", r.error().text}});
  } else if (r.has_value() && !store_ok_) {
    log_.info("database.recovered");
  }
  store_ok_ = r.has_value();
  store_detail_ = r.has_error() ? r.error().text : std::string();
}

void relay::impl::on_read(base::result<outbox::read_answer> r) {
  if (r.has_value()) metrics_.read(r->rows.size() + r->due.size() + r->skipped.size());
  core_.read_answered(std::move(r), clock_now());
}

void relay::impl::on_decided(base::result<std::vector<outbox::row_ref>> r) {
  for (const died& d : core_.decided(r, clock_now())) {
    metrics_.died(d.why);
    if (d.why == verdict::too_large)
      metrics_.failed(d.why);  // found here, the publisher never saw it
    row_log_.warn("row.dead", {{"id", d.ref.id},
                               {"message_id", boost::uuids::to_string(d.ref.message_id)},
                               {"reason", to_string(d.why)},
                               {"error", d.text}});
  }
}

void relay::impl::on_measured(base::result<outbox::backlog> r) {
  measuring_ = false;
  if (r.has_value() && core_.leading()) {
    backlog_ = *r;
    measured_at_ = clock_now();
  }
}

void relay::impl::on_purged(base::result<std::size_t> r) {
  purging_ = false;
  purge_at_ = clock_now() + purge_interval;
  if (r.has_error()) return;
  metrics_.purged(*r);
  if (*r >= purge_rows) purge_at_ = clock_now();
}

// Once a second: what has no hurry and must not be forgotten.
void relay::impl::keep_house() {
  const time_point now = clock_now();
  for (lane_info& lane : lanes_) count_blocked_time(lane, now);
  if (core_.leading() && !draining_) {
    const bool waiting = !backlog_ || backlog_->oldest_due_age || core_.rows_in_memory() > 0;
    if (!measuring_ && now - measured_at_ >= (waiting ? measure_waiting : measure_idle)) {
      measuring_ = true;
      store_.measure(then(&impl::on_measured));
    }
    if (!purging_ && now >= purge_at_) {
      purging_ = true;
      store_.purge(opts_.retention, opts_.dead_retention, purge_rows, then(&impl::on_purged));
    }
  }
  housekeeping_.expires_after(housekeeping_interval);
  housekeeping_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (self && !cancelled) self->keep_house();
  });
}

// ---- the lead
// ------------------------------------------------------------------------------------

void relay::impl::lead_gained(std::int64_t epoch) {
  log_.info("lead.gained", {{"epoch", epoch}});
  metrics_.lead_changed(true);
  backlog_.reset();
  measured_at_ = {};
  purge_at_ = clock_now() + purge_interval;
  core_.lead_gained(epoch, clock_now());
  pump();
}

void relay::impl::lead_lost(const std::string& reason) {
  log_.warn("lead.lost", {{"reason", reason}, {"unconfirmed", core_.unconfirmed()}});
  metrics_.lead_changed(false);
  backlog_.reset();
  core_.lead_lost();
  pump();
}

void relay::impl::notified() {
  metrics_.notified();
  core_.notified(clock_now());
  pump();
}

void relay::impl::lead_state_changed(lead_state state, const std::string& detail) {
  if (state != lead_ || detail != lead_detail_) {
    const bool trouble =
        state == lead_state::not_ready || (state == lead_state::connecting && !detail.empty());
    log_.write(trouble ? base::severity::warn : base::severity::info, "lead.state",
               std::initializer_list<base::field>{{"state", outbox::to_string(state)},
                                                  {"detail", detail}});
  }
  lead_ = state;
  lead_detail_ = detail;
}

// ---- the broker
// ----------------------------------------------------------------------------------

void relay::impl::lane_opened(lane_id lane) {
  lane_info& l = lanes_.at(lane);
  if (l.was_open) metrics_.broker_reconnected();
  l.was_open = true;
  l.shown = {.open = true, .blocked = false, .detail = {}};
  core_.lane_opened(lane);
  pump();
}

void relay::impl::lane_closed(lane_id lane, doubt why, int code, const std::string& text) {
  lane_info& l = lanes_.at(lane);
  count_blocked_time(l, clock_now());
  l.shown = {
      .open = false, .blocked = false, .detail = text.empty() ? std::string(to_string(why)) : text};
  if (why == doubt::channel_closed) metrics_.broker_channel_error(code);
  core_.lane_closed(lane);
  pump();
}

void relay::impl::lane_blocked(lane_id lane, bool blocked, const std::string& reason) {
  lane_info& l = lanes_.at(lane);
  count_blocked_time(l, clock_now());
  l.shown.blocked = blocked;
  l.shown.detail = reason;
  l.blocked_at = clock_now();
  core_.lane_blocked(lane, blocked);
  pump();
}

void relay::impl::count_blocked_time(lane_info& lane, time_point now) {
  if (!lane.shown.blocked) return;
  metrics_.broker_blocked_for(since(lane.blocked_at, now));
  lane.blocked_at = now;
}

void relay::impl::outcomes(lane_id, std::span<const outcome> batch) {
  const time_point now = clock_now();
  for (const outcome& o : batch) {
    const row* r = core_.find(o.ref);
    if (r != nullptr && o.what == verdict::confirmed) {
      metrics_.confirmed(r->msg.age + since(r->read_at, now), since(r->published_at, now));
    }
    if (r != nullptr && o.what != verdict::confirmed && o.what != verdict::unknown)
      note_failure(o, r->msg, o.what);
    const verdict what = core_.landed(o);
    if (what == verdict::unknown) metrics_.unknown(o.why);
    if (what != verdict::unknown && o.what == verdict::unknown) metrics_.failed(what);
  }
  pump();
}

void relay::impl::note_failure(const outcome& o, const outbox::message& m, verdict what) {
  metrics_.failed(what);
  row_log_.warn("row.failed", {{"id", m.ref.id},
                               {"reason", to_string(what)},
                               {"exchange", m.exchange},
                               {"routing_key", m.routing_key},
                               {"code", o.code},
                               {"error", o.text}});
}

// ---- the end
// -------------------------------------------------------------------------------------

void relay::impl::drain(std::chrono::milliseconds limit, std::function<void(drain_result)> done) {
  if (done) drain_done_ = std::move(done);
  const time_point deadline = clock_now() + limit;
  if (!draining_) {
    draining_ = true;
    log_.info("relay.draining", {{"unconfirmed", core_.unconfirmed()}});
    core_.drain();
  } else if (deadline >= drain_deadline_) {
    return;
  }
  drain_deadline_ = deadline;
  drain_timer_.expires_at(deadline);
  drain_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (self && !cancelled) self->finish_drain(drain_result::unconfirmed_left);
  });
  pump();
}

// The broker first: what it still confirms while closing is written before the lead is given away.
void relay::impl::finish_drain(drain_result result) {
  if (std::exchange(stopping_, true)) return;
  drain_timer_.cancel();
  poll_timer_.cancel();
  housekeeping_.cancel();
  const auto limit = result == drain_result::clean ? std::chrono::milliseconds(close_limit) : 0ms;
  broker_.stop(limit, [self = shared_from_this(), result] {
    self->leadership_.stop([self, result] {
      self->log_.info("relay.stopped", {{"clean", result == drain_result::clean}});
      if (self->drain_done_) std::exchange(self->drain_done_, nullptr)(result);
    });
  });
}

void relay::impl::shut_down() {
  stopping_ = true;
  poll_timer_.cancel();
  housekeeping_.cancel();
  drain_timer_.cancel();
}

status relay::impl::current() const {
  const time_point now = clock_now();
  status s;
  s.lead = lead_;
  s.lead_detail = lead_detail_;
  s.draining = draining_;
  for (const lane_info& l : lanes_) s.lanes.push_back(l.shown);
  s.store_ok = store_ok_;
  s.store_detail = store_detail_;
  s.rows_in_memory = core_.rows_in_memory();
  s.unconfirmed = core_.unconfirmed();
  s.held_keys = core_.held_keys();
  s.backlog = backlog_;
  // Known once the table was measured; rows in memory are more recent than that.
  if (backlog_) {
    auto oldest = core_.oldest_age(now).value_or(0us);
    const bool still_waiting =
        backlog_->oldest_due_age && (!core_.caught_up() || backlog_->deferred > 0);
    if (still_waiting)
      oldest = std::max(oldest, *backlog_->oldest_due_age + since(measured_at_, now));
    s.oldest_pending_age = oldest;
  }
  return s;
}

relay::relay(asio::any_io_executor executor, outbox::store& store, outbox::leadership& leadership,
             publisher& broker, options opts, base::logger& log, observer& metrics)
    : impl_(std::make_shared<impl>(std::move(executor), store, leadership, broker, opts, log,
                                   metrics)) {}

relay::~relay() {
  impl_->shut_down();
}

void relay::start() {
  impl_->start();
}

void relay::drain(std::chrono::milliseconds limit, std::function<void(drain_result)> done) {
  impl_->drain(limit, std::move(done));
}

status relay::current() const {
  return impl_->current();
}

}  // namespace outboxd::relay
