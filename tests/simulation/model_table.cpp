#include "tests/simulation/model_table.hpp"

#include <algorithm>

#include "tests/simulation/trace.hpp"

namespace outboxd::simulation {

using std::chrono::microseconds;

namespace {

bool waits(const table_row& r) {
  return r.state == status::pending || r.state == status::deferred;
}

status after(outbox::fate f) {
  switch (f) {
    case outbox::fate::deferred:
      return status::deferred;
    case outbox::fate::dead:
      return status::dead;
    case outbox::fate::pending:
      return status::pending;
  }
  return status::pending;
}

}  // namespace

// ---- services ----

model_table::xid model_table::begin() {
  open_[next_xid_];
  return next_xid_++;
}

row_ref model_table::insert(xid by, std::int64_t id, outbox::message m, nature what, bool large,
                            std::optional<microseconds> not_before) {
  m.ref.id = id;
  for (std::size_t i = 0; i < 4; ++i)
    m.ref.message_id.data[15 - i] = static_cast<std::uint8_t>(next_message_ >> (8 * i));
  ++next_message_;
  table_row r;
  r.msg = std::move(m);
  r.large = large;
  if (not_before && *not_before > clock_.database()) {
    r.state = status::deferred;
    r.due_at = *not_before;
  }
  story& s = checker_.written(r.msg, what);
  s.scheduled = r.state == status::deferred;
  open_.at(by).push_back(r);
  return r.msg.ref;
}

void model_table::commit(xid t, bool durable) {
  logged entry;
  ++commits_;
  for (table_row& r : open_.at(t)) {
    const std::int64_t id = r.msg.ref.id;
    r.commit = commits_;
    checker_.committed(r.msg.ref);
    trace(clock_, "committed", id, "key", r.msg.ordering_key.value_or("-"));
    entry.born.push_back(id);
    place(rows_[id] = std::move(r));
  }
  open_.erase(t);
  log_.push_back(std::move(entry));
  if (durable) flush();
}

void model_table::roll_back(xid t) {
  for (const table_row& r : open_.at(t)) checker_.rolled_back(r.msg.ref);
  open_.erase(t);
}

// ---- writing back ----

outbox::settle_answer model_table::settle(const std::vector<row_ref>& rows) {
  outbox::settle_answer answer;
  for (const row_ref& acked : rows) {
    if (locked.contains(acked.id)) {
      answer.locked.push_back(acked);
      continue;
    }
    table_row* r = at(acked.id);
    if (r == nullptr || r->msg.ref != acked || !waits(*r)) continue;
    ++answer.changed;
    trace(clock_, "marked sent", acked.id);
    checker_.marked_sent(r->msg.ref);
    log_.push_back({{}, *r});
    unplace(*r);
    r->state = status::sent;
    if (delete_on_ack) rows_.erase(acked.id);
  }
  return answer;
}

outbox::decide_answer model_table::decide(std::int64_t epoch,
                                          const std::vector<outbox::decision>& decisions) {
  outbox::decide_answer answer;
  std::vector<row_ref>& changed = answer.changed;
  if (epoch != epoch_) return answer;
  for (const outbox::decision& d : decisions) {
    if (locked.contains(d.ref.id)) {
      answer.locked.push_back(d.ref);
      continue;
    }
    table_row* r = at(d.ref.id);
    if (r == nullptr || r->msg.ref != d.ref) continue;
    const status wanted = after(d.what);
    const bool was_done =
        d.what != outbox::fate::pending && r->state == wanted && r->msg.attempts == d.attempts + 1;
    if (was_done) changed.push_back(d.ref);
    if (!waits(*r) || r->msg.attempts != d.attempts) continue;
    changed.push_back(d.ref);
    unplace(*r);
    if (d.what == outbox::fate::pending) {
      trace(clock_, "decided", d.ref.id, "pending");
      r->state = status::pending;
      place(*r);
      continue;
    }
    if (!r->failing_since) r->failing_since = clock_.database();
    ++r->msg.attempts;
    trace(clock_, "decided", d.ref.id, wanted == status::dead ? "dead" : "deferred", "attempt",
          r->msg.attempts);
    r->state = wanted;
    r->due_at = clock_.database() + (wanted == status::dead ? 0us : microseconds(d.retry_in));
    place(*r);
    if (wanted == status::dead)
      checker_.died(d.ref, r->msg.attempts, clock_.database() - *r->failing_since);
  }
  flush();
  return answer;
}

std::int64_t model_table::take_lead() {
  flush();
  return ++epoch_;
}

// ---- operators ----

void model_table::retry(const row_ref& dead) {
  trace(clock_, "operator retries", dead.id);
  table_row* r = at(dead.id);
  if (r == nullptr || r->msg.ref != dead || r->state != status::dead) return;
  unplace(*r);
  r->state = status::deferred;
  r->due_at = clock_.database();
  r->msg.attempts = 0;
  r->failing_since.reset();
  place(*r);
  story& s = checker_.at(dead);
  s.out_of_turn = true;
  s.dead = false;
  flush();
}

void model_table::discard(const row_ref& failed) {
  trace(clock_, "operator discards", failed.id);
  const table_row* r = find(failed);
  if (r == nullptr || r->state == status::sent) return;
  checker_.at(failed).where = fate_in_table::discarded;
  erase(failed.id);
  flush();
}

// ---- the disk ----

void model_table::flush() {
  for (const logged& entry : log_)
    for (const std::int64_t id : entry.born) durable_id_ = std::max(durable_id_, id);
  log_.clear();
}

void model_table::crash() {
  locked.clear();
  while (!open_.empty()) roll_back(open_.begin()->first);
  const std::size_t kept = luck_.index(log_.size() + 1);
  const std::int64_t drawn = next_id_;
  for (; log_.size() > kept; log_.pop_back()) undo(log_.back());
  flush();
  if (luck_.per_cent(70)) next_id_ = std::max(durable_id_ + 1, drawn - 30);
}

void model_table::undo(const logged& entry) {
  for (const std::int64_t id : entry.born) {
    const auto it = rows_.find(id);
    if (it == rows_.end()) continue;
    trace(clock_, "vanished", id);
    checker_.vanished(it->second.msg.ref);
    erase(id);
  }
  if (!entry.settled) return;
  trace(clock_, "no longer marked", entry.settled->msg.ref.id);
  checker_.exposed(entry.settled->msg.ref);
  place(rows_[entry.settled->msg.ref.id] = *entry.settled);
}

// ---- where rows are found ----

table_row* model_table::at(std::int64_t id) {
  const auto it = rows_.find(id);
  return it == rows_.end() ? nullptr : &it->second;
}

const table_row* model_table::find(const row_ref& ref) const {
  const auto it = rows_.find(ref.id);
  return it == rows_.end() || it->second.msg.ref != ref ? nullptr : &it->second;
}

void model_table::place(const table_row& r) {
  const std::int64_t id = r.msg.ref.id;
  if (r.state == status::pending) pending_.insert(id);
  if (r.state == status::deferred) deferred_.insert({r.due_at, id});
  if (r.state == status::dead) dead_.insert(id);
  if (r.state != status::sent && r.msg.ordering_key) keys_[*r.msg.ordering_key].insert(id);
}

void model_table::unplace(const table_row& r) {
  const std::int64_t id = r.msg.ref.id;
  pending_.erase(id);
  deferred_.erase({r.due_at, id});
  dead_.erase(id);
  if (r.msg.ordering_key) keys_[*r.msg.ordering_key].erase(id);
}

void model_table::erase(std::int64_t id) {
  unplace(rows_.at(id));
  rows_.erase(id);
}

// ---- questions ----

std::vector<row_ref> model_table::waiting_before(const std::string& key, std::int64_t id,
                                                 bool dead_too) const {
  std::vector<row_ref> found;
  const auto it = keys_.find(key);
  if (it == keys_.end()) return found;
  for (const std::int64_t other : it->second) {
    if (other >= id) break;
    const table_row& r = rows_.at(other);
    const bool holds = r.state == status::pending ||
                       (r.state == status::deferred && r.msg.attempts > 0) ||
                       (r.state == status::dead && dead_too);
    if (holds) found.push_back(r.msg.ref);
  }
  return found;
}

std::vector<row_ref> model_table::unfinished() const {
  std::vector<row_ref> found;
  for (const std::int64_t id : pending_) found.push_back(rows_.at(id).msg.ref);
  for (const auto& [due_at, id] : deferred_) found.push_back(rows_.at(id).msg.ref);
  return found;
}

std::vector<row_ref> model_table::dead() const {
  std::vector<row_ref> found;
  for (const std::int64_t id : dead_) found.push_back(rows_.at(id).msg.ref);
  return found;
}

}  // namespace outboxd::simulation
