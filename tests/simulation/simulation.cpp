#include "tests/simulation/simulation.hpp"

#include <algorithm>

#include "tests/simulation/trace.hpp"

namespace outboxd::simulation {

namespace {

constexpr int steps_to_drain = 3'000;
constexpr auto sweep_interval = 5min;

}  // namespace

simulation::simulation(unsigned seed, const scenario& scenario)
    : luck_(seed),
      scenario_(scenario),
      checker_(clock_),
      table_(luck_, clock_, checker_),
      broker_(luck_, checker_),
      services_(luck_, clock_, table_, scenario.writing),
      learns_at_(scenario.replicas) {
  checker_.pipelined = scenario.replica.relay.pipelined;
  checker_.give_up_after = scenario.replica.relay.give_up_after;
  table_.delete_on_ack = scenario.delete_on_ack;
  broker_.reorders = scenario.reorders_confirms;
  if (scenario.broken) {
    if (scenario.broken_how == trouble::missing || scenario.broken_how == trouble::forbidden) {
      broker_.set(scenario.broken->first, scenario.broken_how);
    } else {
      broker_.set(*scenario.broken, scenario.broken_how);
    }
  }
  for (std::size_t i = 0; i < scenario.replicas; ++i)
    replicas_.push_back(std::make_unique<replica>(
        surroundings{luck_, clock_, checker_, table_, broker_}, scenario.replica));
}

void simulation::run() {
  const auto& broken = scenario_.broken;
  time_point half_time;
  int publishes = 0;
  for (int i = 0; i < scenario_.steps; ++i) {
    clock_.now += std::chrono::milliseconds(luck_.any(0, 4));
    step(true);
    if (scenario_.patience && i % 20 == 0) check_that_others_flow();
    if (i != scenario_.steps / 2) continue;
    half_time = clock_.now;
    if (broken) publishes = checker_.publishes_to(broken->first, broken->second);
  }
  if (broken && scenario_.patience)
    check_that_it_is_spared(
        checker_.publishes_to(broken->first, broken->second) - publishes,
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now - half_time));
  settle_down();
  drain();
  const bool needs_sweep =
      scenario_.writing.early_ids > 0 || scenario_.writing.operators > 0 || scenario_.replicas > 1;
  if (needs_sweep && !drained()) {
    // What no snapshot could foresee is found by the sweep, and so is a hold that somebody else
    // ended: an operator, or a leader that was replaced and heard of a confirm.
    clock_.now += sweep_interval;
    drain();
  }
  checker_.finished(table_.unfinished(), may_wait());
}

// Faster and faster: what is still there may wait for a timer.
void simulation::drain() {
  for (int i = 0; i < steps_to_drain && !drained(); ++i) {
    clock_.now += std::chrono::milliseconds(luck_.any(1, i < steps_to_drain / 2 ? 20 : 100));
    if (i % 500 == 250) services_.go_on();
    step(false);
  }
}

void simulation::step(bool faults) {
  if (faults) {
    go_wrong();
    services_.operators_step();
    services_.pauses_step();
  }
  bool committed = faults ? services_.step() : services_.end_all();
  if (luck_.per_cent(5)) table_.flush();
  keep_a_leader();
  for (const auto& r : replicas_)
    if (committed && r->has_wake_lock() && luck_.per_cent(95)) r->notify();
  broker_.step();
  for (const auto& r : replicas_) r->step();
}

// ---- who leads ----

void simulation::elect(std::size_t next) {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (i == next) continue;
    for (const row_ref& ref : replicas_[i]->in_doubt()) checker_.exposed(ref);
  }
  replicas_[next]->lose_lead();
  learns_at_[next].reset();
  leader_ = next;
  replicas_[next]->gain_lead(table_.take_lead());
}

void simulation::keep_a_leader() {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (!learns_at_[i] || *learns_at_[i] > clock_.now) continue;
    replicas_[i]->lose_lead();
    learns_at_[i].reset();
  }
  if (!leader_ && !away_until_ && luck_.per_cent(20)) elect(luck_.index(replicas_.size()));
}

// ---- what goes wrong ----

void simulation::go_wrong() {
  broker_goes_wrong();
  database_goes_wrong();
  leaders_go_wrong();
}

void simulation::broker_goes_wrong() {
  const faults& f = scenario_.going_wrong;
  for (const auto& r : replicas_) {
    for (std::size_t l = 0; l < r->lanes(); ++l) {
      if (luck_.per_mille(f.cut)) r->cut(l, luck_.per_cent(50) ? goodbye::closed : goodbye::reset);
      if (luck_.per_mille(f.closed)) r->lane(l).server_closes(luck_.per_cent(50) ? 320 : 0);
    }
  }
  if (alarm_until_ && *alarm_until_ <= clock_.now) {
    alarm_until_.reset();
    broker_.set_alarm(false);
  } else if (!alarm_until_ && luck_.per_mille(f.alarm)) {
    alarm_until_ = clock_.now + std::chrono::milliseconds(luck_.any(5, 400));
    broker_.set_alarm(true);
  }
  end_troubles(false);
  if (luck_.per_mille(f.troubles)) begin_trouble();
}

void simulation::begin_trouble() {
  const auto& all = services::destinations();
  const auto& where = all[luck_.index(all.size())];
  if (scenario_.broken && where.first == scenario_.broken->first) return;
  const bool exchange = !where.first.empty() && luck_.per_cent(40);
  if (exchange) {
    broker_.set(where.first, luck_.per_cent(60) ? trouble::missing : trouble::forbidden);
  } else {
    constexpr trouble kinds[] = {trouble::unroutable, trouble::full, trouble::silent};
    broker_.set(where, kinds[luck_.index(3)]);
  }
  troubles_.push_back({where, exchange, clock_.now + std::chrono::milliseconds(luck_.any(5, 400))});
}

void simulation::end_troubles(bool all) {
  std::erase_if(troubles_, [&](const trouble_now& t) {
    if (!all && t.until > clock_.now) return false;
    if (t.exchange) {
      broker_.set(t.where.first, trouble::none);
    } else {
      broker_.set(t.where, trouble::none);
    }
    return true;
  });
}

void simulation::database_goes_wrong() {
  const faults& f = scenario_.going_wrong;
  if (away_until_ && *away_until_ <= clock_.now) {
    away_until_.reset();
    for (const auto& r : replicas_) r->database_is_away = false;
  } else if (!away_until_ && luck_.per_mille(f.away)) {
    away_until_ = clock_.now + std::chrono::milliseconds(luck_.any(5, 200));
    for (const auto& r : replicas_) r->database_is_away = true;
  }
  for (const auto& r : replicas_) r->failing_statements = f.statements;
  if (luck_.per_mille(f.locks)) lock_a_row();
  std::erase_if(unlocks_at_, [&](const auto& lock) {
    if (lock.second > clock_.now) return false;
    table_.locked.erase(lock.first);
    return true;
  });
  if (luck_.per_mille(f.crash)) crash_database();
}

void simulation::lock_a_row() {
  const std::vector<row_ref> rows = table_.unfinished();
  if (rows.empty()) return;
  const std::int64_t id = rows[luck_.index(rows.size())].id;
  table_.locked.insert(id);
  unlocks_at_[id] = clock_.now + std::chrono::milliseconds(luck_.any(5, 400));
}

void simulation::crash_database() {
  trace(clock_, "the database crashes");
  table_.crash();
  services_.crashed();
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    replicas_[i]->lose_database();
    if (replicas_[i]->leading() && !learns_at_[i])
      learns_at_[i] = clock_.now + std::chrono::milliseconds(luck_.any(0, 100));
  }
  leader_.reset();
}

void simulation::leaders_go_wrong() {
  const faults& f = scenario_.going_wrong;
  if (leader_ && luck_.per_mille(f.lead_moves)) {
    const std::size_t before = *leader_;
    learns_at_[before] = clock_.now + std::chrono::milliseconds(luck_.any(0, 150));
    leader_.reset();
  }
  if (leader_ && luck_.per_mille(f.lead_lost)) {
    replicas_[*leader_]->lose_lead();
    leader_.reset();
  }
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (!luck_.per_mille(f.replica_dies)) continue;
    trace(clock_, "epoch", replicas_[i]->epoch(), "dies");
    for (const row_ref& ref : replicas_[i]->in_doubt()) checker_.exposed(ref);
    replicas_[i]->vanish(luck_.per_cent(50) ? goodbye::closed : goodbye::reset);
    replicas_[i] = std::make_unique<replica>(surroundings{luck_, clock_, checker_, table_, broker_},
                                             scenario_.replica);
    replicas_[i]->database_is_away = away_until_.has_value();
    learns_at_[i].reset();
    if (leader_ == i) leader_.reset();
  }
}

// ---- one destination is broken ----

void simulation::check_that_others_flow() const {
  const std::set<row_ref> held = may_wait();
  for (const row_ref& ref : table_.unfinished()) {
    if (held.contains(ref)) continue;
    const auto due = table_.find(ref)->due_at;
    const auto waits =
        std::min<std::chrono::microseconds>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                clock_.now - checker_.of(ref).visible_at),
                                            clock_.database() - due);
    require(waits < *scenario_.patience, invariant::others_flow,
            "waits for " + std::to_string(waits.count() / 1000) + " ms: " + checker_.describe(ref));
  }
}

// About one probe in each back-off.
void simulation::check_that_it_is_spared(int publishes, std::chrono::milliseconds during) const {
  const auto shortest = scenario_.replica.relay.retry_min / 2;
  require(publishes <= 5 + during / shortest, invariant::held_is_spared,
          std::to_string(publishes) + " publishes in " + std::to_string(during.count()) + " ms");
}

// ---- the end ----

// Everything that can go wrong has; what is broken for ever stays so.
void simulation::settle_down() {
  end_troubles(true);
  table_.pauses.clear();
  broker_.set_alarm(false);
  alarm_until_.reset();
  away_until_.reset();
  table_.locked.clear();
  for (const auto& r : replicas_) {
    r->database_is_away = false;
    r->failing_statements = 0;
  }
}

bool simulation::drained() const {
  if (table_.has_open_transactions()) return false;
  const std::set<row_ref> hopeless = may_wait();
  for (const row_ref& ref : table_.unfinished())
    if (!hopeless.contains(ref)) return false;
  return true;
}

std::set<row_ref> simulation::may_wait() const {
  std::set<row_ref> found;
  std::set<std::string> closed_keys;
  std::vector<row_ref> rows = table_.unfinished();
  if (scenario_.replica.relay.block_on_dead)
    for (const row_ref& ref : table_.dead()) rows.push_back(ref);
  std::sort(rows.begin(), rows.end());
  for (const row_ref& ref : rows) {
    const story& s = checker_.of(ref);
    const auto& key = s.msg.ordering_key;
    const bool hopeless = s.dead || s.what == nature::never_routes ||
                          broker_.ails({s.msg.exchange, s.msg.routing_key}) != trouble::none;
    if (hopeless && key) closed_keys.insert(*key);
    if (hopeless || (key && closed_keys.contains(*key))) found.insert(ref);
  }
  return found;
}

}  // namespace outboxd::simulation
