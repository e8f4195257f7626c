// The reading statements of the model table.
#include <algorithm>

#include "tests/simulation/model_table.hpp"

namespace outboxd::simulation {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t too_late_at_most = 100;
constexpr std::size_t too_late_visited = 1000;

bool in_gap(const std::vector<outbox::id_range>& gaps, std::int64_t id) {
  return std::any_of(gaps.begin(), gaps.end(),
                     [id](const auto& g) { return g.first <= id && id <= g.last; });
}

bool goes_to(const outbox::message& m, const std::vector<outbox::destination>& some) {
  return std::any_of(some.begin(), some.end(), [&](const outbox::destination& d) {
    return d.exchange == m.exchange && (!d.routing_key || *d.routing_key == m.routing_key);
  });
}

// Bodies and headers in the order of the parts, as long as they fit.
void keep_inline(outbox::read_answer& a, const outbox::read_request& q) {
  std::size_t sum = 0;
  for (auto* part : {&a.rows, &a.due, &a.below}) {
    for (outbox::message& m : *part) {
      const std::size_t size = m.body_size + m.headers_size;
      const bool small = m.body_loaded && size <= q.inline_row_bytes;
      if (small) sum += size;
      m.body_loaded = small && sum <= q.inline_total_bytes;
      if (!m.body_loaded) m.body.clear();
    }
  }
}

}  // namespace

outbox::message model_table::answered(const table_row& r) const {
  outbox::message m = r.msg;
  m.body_loaded = !r.large;
  m.deferred = r.state == status::deferred;
  if (r.failing_since) m.failing_for = clock_.database() - *r.failing_since;
  return m;
}

outbox::read_answer model_table::read(const outbox::read_request& q) const {
  outbox::read_answer a;
  a.epoch = epoch_;
  a.snap = {.xmin = open_.empty() ? next_xid_ : open_.begin()->first, .next_xid = next_xid_};
  if (q.to) a.up_to = q.to;
  if (q.span > 0 && !q.to && next_id_ - 1 - q.frontier > q.span) a.up_to = q.frontier + q.span;
  const view seen{commits_};
  for (const std::int64_t id : pending_) {
    if (a.rows.size() >= q.limit || (a.up_to && id > *a.up_to)) break;
    const table_row& r = rows_.at(id);
    const bool above = id > q.frontier && shows(seen, r);
    const bool below = in_gap(q.gaps, id) && shows(seen, r);
    if (above || below) a.rows.push_back(answered(r));
  }
  read_below(q, a);
  read_deferred(q, a);
  keep_inline(a, q);
  return a;
}

void model_table::read_below(const outbox::read_request& q, outbox::read_answer& a) const {
  if (!q.below) return;
  const outbox::scan& s = *q.below;
  const std::int64_t to = std::min(q.frontier, s.to);
  a.below_to = s.after;
  std::size_t visited = 0;
  for (auto id = pending_.upper_bound(s.after); id != pending_.end() && *id <= to; ++id) {
    if (a.below.size() == s.rows || visited++ == s.visited) return;
    const outbox::message& m = rows_.at(*id).msg;
    const bool wanted =
        (s.keys.empty() ||
         (m.ordering_key && std::ranges::find(s.keys, *m.ordering_key) != s.keys.end())) &&
        (m.ordering_key || !goes_to(m, s.without));
    if (wanted) a.below.push_back(answered(rows_.at(*id)));
    a.below_to = *id;
  }
  a.below_to = to;
}

void model_table::read_deferred(const outbox::read_request& q, outbox::read_answer& a) const {
  const microseconds now = clock_.database();
  for (const auto& [due_at, id] : deferred_) {
    if (due_at > now) {
      a.next_due_in = std::chrono::ceil<milliseconds>(due_at - now);
      break;
    }
    if (a.due.size() < q.due_limit) a.due.push_back(answered(rows_.at(id)));
  }
  if (q.max_delay <= 0ms) return;
  std::size_t visited = 0;
  for (auto d = deferred_.rbegin(); d != deferred_.rend() && d->first > now + q.max_delay; ++d) {
    if (visited++ == too_late_visited) break;
    const table_row& r = rows_.at(d->second);
    if (r.msg.attempts > 0) continue;
    if (a.too_late.size() == too_late_at_most) break;
    a.too_late.push_back(answered(r));
    a.too_late.back().body_loaded = false;
    a.too_late.back().body.clear();
  }
}

std::vector<outbox::loaded_body> model_table::load_bodies(const std::vector<row_ref>& rows) const {
  std::vector<outbox::loaded_body> bodies;
  for (const row_ref& ref : rows) {
    const table_row* r = find(ref);
    if (r != nullptr && (r->state == status::pending || r->state == status::deferred))
      bodies.push_back({ref, r->msg.body, r->msg.headers});
  }
  return bodies;
}

std::vector<outbox::failed_row> model_table::load_failed(std::int64_t after, bool dead_too,
                                                         std::size_t limit) const {
  std::vector<outbox::failed_row> found;
  for (auto it = rows_.upper_bound(after); it != rows_.end() && found.size() < limit; ++it) {
    const table_row& r = it->second;
    const bool failed = r.state == status::deferred && r.msg.attempts > 0;
    const bool dead = dead_too && r.state == status::dead && r.msg.ordering_key;
    if (failed || dead)
      found.push_back({r.msg.ref, dead, r.msg.exchange, r.msg.routing_key, r.msg.ordering_key});
  }
  return found;
}

}  // namespace outboxd::simulation
