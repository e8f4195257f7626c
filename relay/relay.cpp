#include "relay/relay.hpp"

#include <boost/asio/post.hpp>

#include <limits>
#include <random>
#include <utility>

#include "relay/relay_impl.hpp"

namespace outboxd::relay {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto housekeeping_interval = 1s;
constexpr auto measure_idle = 15s;    // the gauges, when nothing waits
constexpr auto measure_waiting = 5s;  // and when something does
constexpr auto measure_all = 10min;   // over the whole table, whatever the core knows
constexpr outbox::id_range whole_table{1, std::numeric_limits<std::int64_t>::max()};
constexpr auto close_limit = 2s;  // for the broker's answer to our goodbye

std::function<double()> dice() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
  };
}

}  // namespace

relay::impl::impl(asio::any_io_executor executor, outbox::store& store,
                  outbox::leadership& leadership, publisher& broker, options opts,
                  base::logger& log, observer& metrics)
    : store_(store),
      leadership_(leadership),
      broker_(broker),
      opts_(opts),
      log_(log),
      metrics_(metrics),
      core_(opts, broker.lanes(), dice()),
      lanes_(broker.lanes() + 1),
      poll_timer_(executor),
      housekeeping_(executor),
      purge_timer_(executor),
      drain_timer_(executor) {}

void relay::impl::start() {
  leadership_.start(*this);
  keep_house();
}

// ---- what the core says is done ----

void relay::impl::pump() {
  if (stopping_) return;
  // This process was stopped and another may lead: we shall hear of it, and until then do nothing.
  if (core_.leading() && !leadership_.leads_for_certain()) return;
  todo_.clear();
  core_.poll(clock_now(), todo_);
  for (action& next : todo_) std::visit([this](auto& a) { act(a); }, next);

  if (draining_ && core_.drained()) return finish_drain(drain_result::clean);

  poll_again_at(core_.next_poll());
}

void relay::impl::poll_again_at(std::optional<time_point> next) {
  if (next == poll_at_) return;  // as after most batches of confirms
  poll_at_ = next;
  if (!next) {
    poll_timer_.cancel();
    return;
  }
  poll_timer_.expires_at(*next);
  poll_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (!self || cancelled) return;
    self->poll_at_.reset();
    self->pump();
  });
}

void relay::impl::act(do_read& a) {
  store_.read(std::move(a.request), then(&impl::on_read));
}

void relay::impl::act(do_load_bodies& a) {
  store_.load_bodies(std::move(a.rows), then(&impl::on_bodies));
}

void relay::impl::act(do_load_failed& a) {
  store_.load_failed(a.after, a.dead_too, a.limit, then(&impl::on_failed_rows));
}

void relay::impl::act(do_load_pauses&) {
  store_.load_pauses(then(&impl::on_pauses));
}

void relay::impl::act(do_publish& a) {
  metrics_.published(a.what->msg.body_size);
  broker_.publish(a.what->lane, a.what->msg);
}

void relay::impl::act(do_settle& a) {
  store_.settle(std::move(a.rows), then(&impl::on_settled));
}

void relay::impl::act(do_decide& a) {
  store_.decide(a.epoch, std::move(a.decisions), then(&impl::on_decided));
}

void relay::impl::act(do_want_quarantine& a) {
  if (!a.wanted) lanes_.back().was_open = false;  // it is not lost, but given up
  broker_.want_quarantine(a.wanted);
}

void relay::impl::act(do_renew& a) {
  renew(a.lane);
}

void relay::impl::act(do_tell& a) {
  note_hold(a.what);
}

void relay::impl::act(do_tell_pause& a) {
  note_pause(a.what);
}

void relay::impl::act(do_try_wake_lock&) {
  after_writing([](impl& self) { self.try_wake_lock(); });
}

void relay::impl::act(do_release_wake_lock&) {
  after_writing([](impl& self) { self.leadership_.release_wake_lock(); });
}

// A thread that is woken may take the processor from the one that has a row to send. What has time
// comes after the handlers that are waiting now, among them those that write to the broker; what is
// put off so keeps its order.
void relay::impl::after_writing(void (*what)(impl&)) {
  asio::post(poll_timer_.get_executor(), [weak = weak_from_this(), what] {
    if (const auto self = weak.lock()) what(*self);
  });
}

void relay::impl::try_wake_lock() {
  leadership_.try_wake_lock([weak = weak_from_this()](base::result<bool> got) {
    if (const auto self = weak.lock()) {
      self->core_.wake_lock_answered(got, clock_now());
      self->pump();
    }
  });
}

// ---- the database ----

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
  if (r.has_value()) metrics_.read(r->rows.size() + r->due.size() + r->below.size());
  core_.read_answered(std::move(r), clock_now());
}

void relay::impl::on_settled(base::result<outbox::settle_answer> r) {
  core_.settled(r, clock_now());
  note_locked_rows();
}

void relay::impl::note_locked_rows() {
  if (rows_locked_ == (core_.locked_rows() > 0)) return;
  rows_locked_ = !rows_locked_;
  if (rows_locked_) {
    log_.warn("rows.locked", {{"rows", core_.locked_rows()}});
  } else {
    log_.info("rows.unlocked");
  }
}

void relay::impl::on_decided(base::result<outbox::decide_answer> r) {
  for (const died& d : core_.decided(r, clock_now())) {
    metrics_.died(d.why);
    // Found here: the publisher never saw it.
    if (d.why == verdict::too_large || d.why == verdict::delay_too_long) metrics_.failed(d.why);
    log_.warn("row.dead", {{"id", d.ref.id},
                           {"message_id", boost::uuids::to_string(d.ref.message_id)},
                           {"reason", to_string(d.why)},
                           {"error", d.text}});
  }
  note_locked_rows();
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
  purge_at_ = purge_pace_.ended(r.has_value() ? *r : 0, clock_now());
  if (r.has_error()) return;
  metrics_.purged(*r);
  if (*r < purge_pace::batch) return;  // keep_house() comes by when it is time
  purge_timer_.expires_at(purge_at_);
  purge_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (self && !cancelled) self->purge_if_due();
  });
}

void relay::impl::purge_if_due() {
  const time_point now = clock_now();
  if (stopping_ || draining_ || !core_.leading() || purging_ || now < purge_at_) return;
  purging_ = true;
  purge_pace_.begin(now);
  store_.purge(opts_.retention, opts_.dead_retention, purge_pace::batch, then(&impl::on_purged));
}

// Once a second: what has no hurry and must not be forgotten.
void relay::impl::keep_house() {
  if (stopping_) return;  // a handler that was queued already is not cancelled
  const time_point now = clock_now();
  for (lane_info& lane : lanes_) count_blocked_time(lane, now);
  if (core_.leading() && !draining_) {
    const bool waiting = !backlog_ || backlog_->oldest_due_age || core_.rows_in_memory() > 0;
    if (!measuring_ && now - measured_at_ >= (waiting ? measure_waiting : measure_idle)) {
      measuring_ = true;
      const bool all = now >= measure_all_at_;
      if (all) measure_all_at_ = now + measure_all;
      store_.measure(all ? std::vector{whole_table} : core_.may_be_pending(),
                     then(&impl::on_measured));
    }
  }
  purge_if_due();
  housekeeping_.expires_after(housekeeping_interval);
  housekeeping_.async_wait([weak = weak_from_this()](const boost::system::error_code& cancelled) {
    const auto self = weak.lock();
    if (self && !cancelled) self->keep_house();
  });
}

// ---- the end ----

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

// The broker first: nobody else may lead while we could still publish.
void relay::impl::finish_drain(drain_result result) {
  if (std::exchange(stopping_, true)) return;
  for (auto* timer : {&drain_timer_, &poll_timer_, &housekeeping_, &purge_timer_}) timer->cancel();
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
  for (auto* timer : {&drain_timer_, &poll_timer_, &housekeeping_, &purge_timer_}) timer->cancel();
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
