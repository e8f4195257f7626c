// What the lead and the broker report, and what operators see of it.

#include <algorithm>
#include <cassert>
#include <utility>

#include "relay/relay_impl.hpp"

namespace outboxd::relay {

using namespace std::chrono_literals;
using outbox::lead_state;

// ---- the lead ----

void relay::impl::lead_gained(std::int64_t epoch) {
  log_.info("lead.gained", {{"epoch", epoch}});
  metrics_.lead_changed(true);
  backlog_.reset();
  measured_at_ = {};
  purge_at_ = clock_now();
  store_.rest(false);
  core_.lead_gained(epoch, clock_now());
  if (!std::exchange(broker_started_, true)) broker_.start(*this);
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
  if (state == lead_state::standby) stand_by();
}

// A stand-by has one session, which asks for the lead, and nothing else.
//
// Another leads, and publishes what we had in flight: acks have nothing to say any more, and what
// still waits in our connections must not come after what that one publishes. (While nobody is
// known to lead, acks save duplicates.)
void relay::impl::stand_by() {
  store_.rest(true);
  if (!std::exchange(broker_started_, false)) return;
  broker_.abandon("another instance leads");
  for (lane_info& lane : lanes_) lane.was_open = false;  // it is not lost, but given up
}

// ---- the broker ----

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
  if (why == doubt::channel_closed) {
    metrics_.broker_channel_error(code);
    l.was_open = false;  // the connection is not lost, and so not made again
  }
  core_.lane_closed(lane, why, clock_now());
  pump();
}

void relay::impl::renew(lane_id lane) {
  const std::string why = "opens its channel anew, because it has nacked";
  log_.info("amqp.channel_renewed", {{"lane", lane}});
  lanes_.at(lane).shown = {.open = false, .blocked = false, .detail = why};
  lanes_.at(lane).was_open = false;  // the connection is not lost, and so not made again
  broker_.renew(lane);
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
    row* r = core_.find(o.ref);
    assert(r != nullptr && "an outcome for a row that was not published");
    if (o.what == verdict::confirmed) {
      const auto age = r->msg.age + since(r->read_at, now);
      metrics_.confirmed(r->msg.sent_before ? std::nullopt : std::optional(age),
                         since(r->published_at, now));
      purge_pace_.confirmed();
    } else if (o.what != verdict::unknown) {
      note_failure(o, r->msg, o.what);
    }
    const verdict what = core_.landed(*r, o, now);
    if (what == verdict::unknown) metrics_.unknown(o.why);
    if (what != verdict::unknown && o.what == verdict::unknown) metrics_.failed(what);
  }
  pump();
}

void relay::impl::note_failure(const outcome& o, const outbox::message& m, verdict what) {
  metrics_.failed(what);
  log_.warn("row.failed", {{"id", m.ref.id},
                           {"reason", to_string(what)},
                           {"exchange", m.exchange},
                           {"routing_key", m.routing_key},
                           {"code", o.code},
                           {"error", o.text}});
}

void relay::impl::note_hold(const hold_event& e) {
  const std::string routing_key = e.what.where.routing_key.value_or("*");
  if (e.began) {
    log_.warn("destination.held", {{"exchange", e.what.where.exchange},
                                   {"routing_key", routing_key},
                                   {"reason", e.what.reason}});
  } else {
    log_.info("destination.released",
              {{"exchange", e.what.where.exchange},
               {"routing_key", routing_key},
               {"probes", e.what.probes},
               {"held_ms", since(e.what.since, clock_now()).count() / 1000}});
  }
}

void relay::impl::note_pause(const pause_event& e) {
  const outbox::pause_in_force& p = e.what.what;
  if (e.began) {
    log_.warn("pause.began", {{"what", name_of(p.scope)}, {"by", p.by}, {"reason", p.reason}});
  } else {
    log_.info("pause.ended", {{"what", name_of(p.scope)},
                              {"paused_ms", since(e.what.since, clock_now()).count() / 1000}});
  }
}

// ---- what operators see ----

namespace {

hold_status shown(const hold_info& h, time_point now) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  hold_status s;
  s.exchange = h.where.exchange;
  s.routing_key = h.where.routing_key;
  s.reason = h.reason;
  s.since = duration_cast<milliseconds>(now - h.since);
  s.probes = h.probes;
  if (!h.probing) s.next_probe_in = std::max(duration_cast<milliseconds>(h.next_probe - now), 0ms);
  return s;
}

pause_status shown(const pause& p, time_point now) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  pause_status s{.scope = p.what.scope,
                 .reason = p.what.reason,
                 .by = p.what.by,
                 .since = duration_cast<milliseconds>(now - p.since),
                 .ends_in = std::nullopt};
  if (p.ends_at) s.ends_in = std::max(duration_cast<milliseconds>(*p.ends_at - now), 0ms);
  return s;
}

}  // namespace

status relay::impl::current() const {
  const time_point now = clock_now();
  status s;
  s.lead = lead_;
  s.lead_detail = lead_detail_;
  s.draining = draining_;
  for (lane_id lane = 0; lane < broker_.lanes(); ++lane) s.lanes.push_back(lanes_[lane].shown);
  s.store_ok = store_ok_;
  s.store_detail = store_detail_;
  s.rows_in_memory = core_.rows_in_memory();
  s.unconfirmed = core_.unconfirmed();
  s.held_keys = core_.held_keys();
  for (const hold_info& h : core_.holds())
    if (!h.paused) s.holds.push_back(shown(h, now));
  for (const pause& p : core_.paused()) s.pauses.push_back(shown(p, now));
  if (core_.needs_quarantine()) s.quarantine = lanes_.back().shown;
  s.oldest_unconfirmed_age = core_.oldest_unconfirmed_age(now);
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

}  // namespace outboxd::relay
