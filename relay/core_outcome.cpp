// The core's judgement: what became of a publish, and whose fault it was.
#include <algorithm>
#include <cassert>

#include "relay/core.hpp"

namespace outboxd::relay {

namespace {

constexpr std::size_t failed_at_most = 65'536;  // keys held one by one; beyond, rows are skipped
constexpr int attempts_to_give_up = 10;
constexpr int attempts_to_convict = 3;
constexpr int losses_to_suspect = 3;
constexpr int closures_to_refuse = 2;
constexpr int losses_to_refuse = 3;

// Reply codes of connection.close that can be about a message (AMQP 0-9-1, 1.2: frame, syntax and
// internal errors; RabbitMQ: 506 for a stream without a leader). The others are about the user, the
// virtual host or the node.
bool may_be_about_a_row(int code) {
  return code == 501 || code == 502 || code == 506 || code == 540 || code == 541;
}

std::string describe(verdict what, const outcome& o) {
  std::string s(to_string(what));
  if (o.code != 0) s += ": " + std::to_string(o.code);
  if (!o.text.empty()) s += (o.code != 0 ? " " : ": ") + o.text;
  return s;
}

}  // namespace

void core::lane_closed(lane_id lane, doubt why, time_point now) {
  window_.lane_closed(lane);
  if (why != doubt::timeout || !leading()) return;
  // The one that has waited longest has held up the others.
  row* oldest = nullptr;
  for (const auto& [ref, r] : rows_.all()) {
    if (r->state != row_state::in_flight || r->lane != lane) continue;
    const bool older = oldest == nullptr || r->published_at < oldest->published_at ||
                       (r->published_at == oldest->published_at && lower_id{}(r.get(), oldest));
    if (older) oldest = r.get();
  }
  if (oldest == nullptr) return;
  destinations_.silent(*oldest, "no confirm in time", now);
  empty_held_destinations();
}

verdict core::landed(row& r, const outcome& o, time_point now) {
  assert(r.state == row_state::in_flight && "an outcome for a row that is not in flight");
  if (o.what == verdict::confirmed) {
    confirmed(r, now);
    return verdict::confirmed;
  }
  if (o.what == verdict::nacked) renewals_.nacked(r.lane, r.apart, now);
  window_.landed(r);
  if (!leading() || (o.what == verdict::unknown && draining_)) {
    // The table still has it: whoever leads next will send it.
    if (r.msg.ordering_key) apply(keys_.finish(r));
    r.state = row_state::queued;
    drop(r);
    return o.what;
  }
  verdict what = o.what;
  if (what == verdict::unknown) {
    const std::optional<verdict> found = suspected(r, o);
    if (!found) {
      again(r, now);
      return verdict::unknown;
    }
    what = *found;
  }
  judge(r, what, o, now);
  return what;
}

void core::confirmed(row& r, time_point now) {
  ++confirmed_;
  confirmed_at_ = now;
  if (r.apart) renewals_.confirmed_apart(now);
  const std::size_t held = destinations_.held();
  const std::vector<row*> waited = destinations_.succeeded(r);
  const bool lifted = destinations_.held() < held;
  window_.landed(r);
  key_order::change c;
  if (r.msg.ordering_key) c = keys_.finish(r);
  destinations_.leave(r);
  rows_.drop_body(r);
  r.state = row_state::acked;
  acked_.push_back(&r);
  apply(c);
  for (row* w : waited) {
    w->state = row_state::queued;
    activate(*w);
  }
  if (lifted) {
    skipped_.look_again();
    round_pause_ = {};
  }
}

// Before anything is published: what is released by a confirm must not meet the channel that
// refused it.
void core::poll_renewals(time_point now, std::vector<action>& todo) {
  if (!renewals_.any()) return;
  for (lane_id lane = 0; lane < window_.lanes(); ++lane) {
    const bool wanted = renewals_.wanted(lane, now) && leading() && !draining_;
    window_.spare(lane, wanted);
    if (!wanted || !window_.idle(lane)) continue;
    window_.lane_closed(lane);
    renewals_.begun(lane, now);
    todo.emplace_back(do_renew{lane});
  }
}

// It is the row, or its destination; or somebody decided so before it went out.
void core::judge(row& r, verdict what, const outcome& o, time_point now) {
  const std::string text = describe(what, o);
  const bool of_the_row = what == verdict::invalid || what == verdict::too_large ||
                          (what == verdict::refused && is_definite(r, o));
  if (of_the_row) return failed(r, what, outbox::fate::dead, text);
  const std::size_t held = destinations_.held();
  if (destinations_.failed(r, what, text, now)) return send_back(r);
  if (r.msg.ordering_key && keys_.failed() >= failed_at_most) {
    look_again_later(now);
    return send_back(r);
  }
  failed(r, what, gives_up(r, now) ? outbox::fate::dead : outbox::fate::deferred, text);
  if (destinations_.held() != held) empty_held_destinations();
}

bool core::gives_up(const row& r, time_point now) const {
  if (opts_.give_up_after.count() == 0 || r.msg.attempts + 1 < attempts_to_give_up) return false;
  return r.msg.failing_for + (now - r.read_at) >= opts_.give_up_after;
}

void core::failed(row& r, verdict what, outbox::fate fate, const std::string& text) {
  key_order::change c;
  if (r.msg.ordering_key && !r.unordered) c = keys_.failed(r);
  const int attempts = r.msg.attempts + 1;
  destinations_.leave(r);
  rows_.drop_body(r);
  r.state = row_state::deciding;
  r.why = what;
  r.decision = outbox::decision{
      .ref = r.msg.ref,
      .attempts = r.msg.attempts,
      .what = fate,
      .retry_in = base::backoff{opts_.retry_min, opts_.retry_max}.after(attempts, random_()),
      .last_error = text};
  undecided_.push_back(&r);
  apply(c);
}

// Nothing is known of the row: it goes again, at once; but not if others are to go before it now.
void core::again(row& r, time_point now) {
  destinations_.probe_lost(r, now);
  if (r.msg.ordering_key) {
    // An earlier one of its key has gone back to the table meanwhile.
    if (skipped_.closes(r.msg.ref.id, *r.msg.ordering_key)) return send_back(r);
    return apply(keys_.again(r));
  }
  r.state = row_state::queued;
  activate(r);
}

// The broker closed a channel or a connection with this row in flight. Was it because of the row?
// That shows when it is alone: none for as long as it does not.
std::optional<verdict> core::suspected(row& r, const outcome& o) {
  const bool lost = o.why == doubt::connection_lost;
  const bool closed = o.why == doubt::channel_closed || (lost && may_be_about_a_row(o.code));
  if (!closed && !lost) return std::nullopt;
  if (!r.suspect) {
    // A connection may be lost for many reasons; again and again with the same row, for one.
    if (closed || ++r.lost_with >= losses_to_suspect) destinations::suspect(r);
    r.confirmed_of_site = r.where->confirmed;
    r.confirmed_in_all = confirmed_;
    return std::nullopt;
  }
  ++r.closed_alone;
  if (closed && o.code == 403) return verdict::forbidden;
  if (closed && o.code == 404) return verdict::no_exchange;
  if (closed && r.closed_alone >= closures_to_refuse) return verdict::refused;
  // Without a word from the broker, only if others have no such trouble.
  if (r.closed_alone >= losses_to_refuse && confirmed_ > r.confirmed_in_all)
    return verdict::refused;
  return std::nullopt;
}

// Refused for what it is: 406 says so. Another code only if its destination has taken others since;
// or if it is the only one that fails there, again and again, while the broker takes others.
bool core::is_definite(const row& r, const outcome& o) const {
  if (o.code == 406) return true;
  if (o.why != doubt::channel_closed && !may_be_about_a_row(o.code)) return false;
  if (r.where->confirmed > r.confirmed_of_site) return true;
  const auto& failed = r.where->failed;
  const bool others = std::any_of(failed.begin(), failed.end(),
                                  [&](const outbox::row_ref& ref) { return ref != r.msg.ref; });
  const bool broker_works = confirmed_at_ && *confirmed_at_ > r.read_at - r.msg.failing_for;
  return !others && r.msg.attempts + 1 >= attempts_to_convict && broker_works;
}

}  // namespace outboxd::relay
