#include "tests/simulation/replica.hpp"

#include <algorithm>

#include "tests/simulation/trace.hpp"

namespace outboxd::simulation {

using relay::doubt;
using relay::lane_id;
using relay::outcome;
using relay::verdict;

namespace {

base::failure away() {
  return {base::failure_kind::unavailable, "the database is away"};
}

// On a session that lives.
base::failure cancelled() {
  return {base::failure_kind::cancelled, "statement timeout"};
}

}  // namespace

replica::replica(surroundings w, const replica_options& options)
    : w_(w),
      options_(options),
      core_(
          options.relay, options.lanes, [this] { return w_.chance.fraction(); },
          options.least_capacity) {
  for (std::size_t i = 0; i <= options.lanes; ++i)
    lanes_.emplace_back(i, w_.broker, w_.promises, w_.chance, w_.time, options.confirm_timeout);
}

// ---- what happens to it ----

void replica::gain_lead(std::int64_t epoch) {
  trace(w_.time, "epoch", epoch, "leads");
  epoch_ = epoch;
  told_pauses_.clear();
  core_.lead_gained(epoch, w_.time.now);
  poll();
}

void replica::lose_lead() {
  if (!core_.leading()) return;
  trace(w_.time, "epoch", epoch_, "learns that it does not lead");
  wake_lock_ = false;
  core_.lead_lost();
  poll();
}

void replica::notify() {
  core_.notified(w_.time.now);
  poll();
}

void replica::vanish(goodbye how) {
  for (model_lane& lane : lanes_) lane.vanish(how);
}

void replica::lose_database() {
  read_session_broken_ = write_session_broken_ = true;
}

std::set<row_ref> replica::in_doubt() const {
  std::set<row_ref> rows = unmarked_;
  for (const model_lane& lane : lanes_)
    for (const auto& [ref, fact] : lane.in_flight()) rows.insert(ref);
  return rows;
}

void replica::step() {
  step_pauses();
  step_statements();
  step_writes();
  step_wake();
  for (model_lane& lane : lanes_) {
    const bool wanted = &lane != &lanes_.back() || wants_quarantine_;
    if (!wanted && lane.idle() && lane.open()) lane.cut(*this, goodbye::closed);
    if (wanted && !lane.open() && !lane.blocked() && w_.chance.per_cent(reconnects_per_cent))
      lane.connect(*this);
    lane.step(*this);
  }
  poll();
}

// ---- the broker ----

void replica::lane_opened(lane_id lane) {
  core_.lane_opened(lane);
  poll();
}

void replica::lane_closed(lane_id lane, doubt why, int, const std::string&) {
  core_.lane_closed(lane, why, w_.time.now);
  poll();
}

void replica::lane_blocked(lane_id lane, bool blocked, const std::string&) {
  core_.lane_blocked(lane, blocked);
  poll();
}

void replica::outcomes(lane_id, std::span<const outcome> batch) {
  for (const outcome& o : batch) {
    trace(w_.time, "epoch", epoch_, "hears of", o.ref.id, to_string(o.what), to_string(o.why),
          o.code);
    if (o.what == verdict::confirmed) unmarked_.insert(o.ref);
    core_.landed(o, w_.time.now);
    if (w_.chance.per_cent(50)) poll();
  }
  poll();
}

// ---- what the core says is done ----

void replica::poll() {
  std::vector<relay::action> todo;
  core_.poll(w_.time.now, todo);
  for (relay::action& a : todo) obey(a);
  check_memory();
}

void replica::obey(relay::action& a) {
  if (auto* read = std::get_if<relay::do_read>(&a)) {
    read_.asked = std::move(read->request);
  } else if (auto* load = std::get_if<relay::do_load_bodies>(&a)) {
    load_.asked = std::move(load->rows);
  } else if (auto* holds = std::get_if<relay::do_load_failed>(&a)) {
    holds_.asked = *holds;
  } else if (auto* pauses = std::get_if<relay::do_load_pauses>(&a)) {
    pauses_.asked = *pauses;
  } else if (auto* settle = std::get_if<relay::do_settle>(&a)) {
    settle_.asked = std::move(settle->rows);
  } else if (auto* decide = std::get_if<relay::do_decide>(&a)) {
    decide_.asked = std::move(*decide);
  } else if (auto* p = std::get_if<relay::do_publish>(&a)) {
    publish(*p->what);
  } else if (auto* quarantine = std::get_if<relay::do_want_quarantine>(&a)) {
    wants_quarantine_ = quarantine->wanted;
  } else if (auto* anew = std::get_if<relay::do_renew>(&a)) {
    trace(w_.time, "epoch", epoch_, "opens anew the channel of lane", anew->lane);
    lanes_.at(anew->lane).renew();
  } else if (std::holds_alternative<relay::do_try_wake_lock>(a)) {
    asked_for_wake_lock_ = true;
  } else if (std::holds_alternative<relay::do_release_wake_lock>(a)) {
    wake_lock_ = false;
  }
}

void replica::publish(relay::row& r) {
  const outbox::message& m = r.msg;
  std::vector<row_ref> earlier, beside;
  if (m.ordering_key) {
    earlier = w_.table.waiting_before(*m.ordering_key, m.ref.id, options_.relay.block_on_dead);
    for (const row_ref& e : earlier)
      if (lanes_.at(r.lane).has(e)) beside.push_back(e);
  }
  trace(w_.time, "epoch", epoch_, "publishes", m.ref.id, "lane", r.lane);
  require(!knows_to_be_paused(m), invariant::paused_is_spared, w_.promises.describe(m.ref));
  const bool outdated = epoch_ != w_.table.epoch();
  w_.promises.published(m.ref, earlier, beside, outdated);
  if (outdated) w_.promises.exposed(m.ref);  // whoever leads may publish it too
  lanes_.at(r.lane).publish(m);
}

bool replica::knows_to_be_paused(const outbox::message& m) const {
  return std::ranges::any_of(told_pauses_, [&](const outbox::pause_in_force& p) {
    if (p.scope.exchange) return *p.scope.exchange == m.exchange;
    return !p.scope.ordering_key || p.scope.ordering_key == m.ordering_key;
  });
}

void replica::check_memory() const {
  const relay::options& o = options_.relay;
  require(core_.rows_in_memory() <= core_.capacity(), invariant::memory_bounded,
          std::to_string(core_.rows_in_memory()) + " rows");
  require(core_.bytes_in_memory() <= o.max_in_flight_bytes + o.max_message_size,
          invariant::memory_bounded, std::to_string(core_.bytes_in_memory()) + " bytes");
  require(core_.unconfirmed() <= o.max_in_flight, invariant::memory_bounded,
          std::to_string(core_.unconfirmed()) + " unconfirmed");
}

// ---- the database ----

bool replica::fails(bool& broken) {
  if (std::exchange(broken, false) || database_is_away) return true;
  return w_.chance.per_mille(failing_statements);
}

template <typename Request, typename Run>
void replica::step(statement<Request>& s, Run run) {
  if (s.asked && w_.chance.per_cent(60)) {
    const Request request = std::move(*s.asked);
    s.asked.reset();
    s.answer = run(request);
  } else if (s.answer && w_.chance.per_cent(60)) {
    std::exchange(s.answer, nullptr)();
    poll();
  }
}

void replica::step_statements() {
  step(read_, [this](const auto& q) -> std::function<void()> {
    if (fails(read_session_broken_)) return [this] { core_.read_answered(away(), w_.time.now); };
    if (w_.chance.per_mille(failing_statements))
      return [this] { core_.read_answered(cancelled(), w_.time.now); };
    trace(w_.time, "epoch", epoch_, "reads above", q.frontier);
    return [this, a = w_.table.read(q)] {
      trace(w_.time, "epoch", epoch_, "is told of", a.rows.size(), "rows", a.due.size(), "due",
            a.below.size(), "below");
      core_.read_answered(a, w_.time.now);
    };
  });
  step(load_, [this](const auto& refs) -> std::function<void()> {
    if (fails(read_session_broken_)) return [this] { core_.bodies_loaded(away(), w_.time.now); };
    return [this, b = w_.table.load_bodies(refs)] { core_.bodies_loaded(b, w_.time.now); };
  });
  step(holds_, [this](const relay::do_load_failed& h) -> std::function<void()> {
    if (fails(read_session_broken_)) return [this] { core_.failed_loaded(away(), w_.time.now); };
    return [this, f = w_.table.load_failed(h.after, h.dead_too, h.limit)] {
      trace(w_.time, "epoch", epoch_, "is told of", f.size(), "failed rows");
      core_.failed_loaded(f, w_.time.now);
    };
  });
}

void replica::step_pauses() {
  step(pauses_, [this](const relay::do_load_pauses&) -> std::function<void()> {
    if (fails(read_session_broken_)) return [this] { core_.pauses_loaded(away(), w_.time.now); };
    return [this, told = w_.table.pauses] {
      trace(w_.time, "epoch", epoch_, "is told of", told.size(), "pauses");
      core_.pauses_loaded(told, w_.time.now);
      told_pauses_ = core_.leading() ? told : std::vector<outbox::pause_in_force>{};
    };
  });
}

// A statement that failed may have been done all the same: the answer was lost.
void replica::step_writes() {
  step(settle_, [this](const auto& refs) -> std::function<void()> {
    const bool cannot = database_is_away || write_session_broken_;
    const bool failed = fails(write_session_broken_);
    outbox::settle_answer answer;
    if (!failed || (!cannot && w_.chance.per_cent(50))) answer = w_.table.settle(refs);
    if (failed) return [this] { core_.settled(away(), w_.time.now); };
    return [this, refs, answer] {
      for (const row_ref& ref : refs)
        if (std::ranges::find(answer.locked, ref) == answer.locked.end()) unmarked_.erase(ref);
      core_.settled(answer, w_.time.now);
    };
  });
  step(decide_, [this](const relay::do_decide& d) -> std::function<void()> {
    const bool cannot = database_is_away || write_session_broken_;
    const bool failed = fails(write_session_broken_);
    outbox::decide_answer answer;
    if (!failed || (!cannot && w_.chance.per_cent(50)))
      answer = w_.table.decide(d.epoch, d.decisions);
    for (const auto& one : d.decisions)
      trace(w_.time, "epoch", d.epoch, "decided on", one.ref.id, failed ? "no answer" : "");
    if (failed) return [this] { core_.decided(away(), w_.time.now); };
    return [this, answer] { core_.decided(answer, w_.time.now); };
  });
}

void replica::step_wake() {
  if (!asked_for_wake_lock_ || !w_.chance.per_cent(60)) return;
  asked_for_wake_lock_ = false;
  wake_lock_ = core_.leading() && !w_.table.has_open_transactions();
  core_.wake_lock_answered(wake_lock_, w_.time.now);
  poll();
}

}  // namespace outboxd::simulation
