#include "tests/simulation/services.hpp"

#include <algorithm>

namespace outboxd::simulation {

namespace {

constexpr std::size_t most_transactions = 5;
constexpr std::size_t small_body = 4, large_body = 30;

}  // namespace

const std::vector<model_broker::destination>& services::destinations() {
  static const std::vector<model_broker::destination> all{{"", "q1"}, {"", "q2"}, {"x", "a"},
                                                          {"x", "b"}, {"y", "a"}, {"z", "a"}};
  return all;
}

bool services::is_locked(const std::string& key) const {
  return std::ranges::any_of(transactions_,
                             [&](const transaction& t) { return t.locked.contains(key); });
}

bool services::step() {
  bool committed = false;
  if (habits_.early_ids > 0 && luck_.per_mille(habits_.early_ids))
    drawn_early_.push_back(table_.draw_id());
  if (transactions_.size() < most_transactions && luck_.per_cent(50))
    transactions_.push_back({table_.begin(), {}});
  for (std::size_t i = 0; i < transactions_.size(); ++i)
    if (luck_.per_cent(habits_.inserts)) insert(transactions_[i]);
  for (std::size_t i = 0; i < transactions_.size();) {
    if (!luck_.per_cent(habits_.commits)) {
      ++i;
      continue;
    }
    committed |= end(transactions_[i]);
    transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return committed;
}

bool services::end_all() {
  bool committed = false;
  for (const transaction& t : std::exchange(transactions_, {})) committed |= end(t);
  return committed;
}

void services::go_on() {
  for (const auto& [exchange, routing_key] : destinations()) {
    const model_table::xid t = table_.begin();
    outbox::message m;
    m.exchange = exchange;
    m.routing_key = routing_key;
    m.body = std::string(small_body, 'b');
    m.body_size = small_body;
    table_.insert(t, table_.draw_id(), std::move(m), nature::good, false, std::nullopt);
    table_.commit(t, true);
  }
}

bool services::end(const transaction& t) {
  const bool commits = !luck_.per_cent(habits_.rollbacks);
  if (commits) {
    table_.commit(t.id, !luck_.per_cent(habits_.asynchronous));
  } else {
    table_.roll_back(t.id);
  }
  return commits;
}

// Writers of one key take turns, as the promise of order asks of them.
void services::insert(transaction& t) {
  outbox::message m;
  const bool early = !drawn_early_.empty() && luck_.per_cent(20);
  if (!early && luck_.per_cent(habits_.keyed)) {
    const std::string key = "k" + std::to_string(luck_.any(1, habits_.keys));
    if (!t.locked.contains(key) && is_locked(key)) return;
    t.locked.insert(key);
    m.ordering_key = key;
  }
  const std::int64_t id = early ? drawn_early_.back() : table_.draw_id();
  if (early) drawn_early_.pop_back();
  if (!early && luck_.per_cent(4)) return;  // drawn and never used

  const auto& [exchange, routing_key] = destinations()[luck_.index(destinations().size())];
  m.exchange = exchange;
  m.routing_key = routing_key;
  m.mandatory = !luck_.per_cent(habits_.optional);
  const bool large = luck_.per_cent(habits_.large);
  m.body = std::string(large ? large_body : small_body, 'b');
  m.body_size = m.body.size();
  const nature what = early ? nature::good : any_nature();
  if (what == nature::never_routes) m.mandatory = true;
  if (what == nature::too_large) m.body_size = habits_.too_large;

  std::optional<std::chrono::microseconds> not_before;
  if (!early && luck_.per_cent(habits_.scheduled))
    not_before = clock_.database() + std::chrono::milliseconds(luck_.any(-20, 300));
  if (what == nature::too_far) not_before = clock_.database() + habits_.too_far;
  table_.insert(t.id, id, std::move(m), what, large || what == nature::too_large, not_before);
}

nature services::any_nature() {
  if (luck_.per_mille(habits_.never_routes)) return nature::never_routes;
  if (!luck_.per_mille(habits_.poison)) return nature::good;
  std::vector<nature> kinds{nature::refused, nature::kills_connection, nature::invalid};
  if (habits_.too_large > 0) kinds.push_back(nature::too_large);
  if (habits_.too_far > 0ms) kinds.push_back(nature::too_far);
  return kinds[luck_.index(kinds.size())];
}

void services::pauses_step() {
  if (!luck_.per_mille(habits_.pauses)) return;
  auto& pauses = table_.pauses;
  if (!pauses.empty() && luck_.per_cent(60)) {
    pauses.erase(pauses.begin() + static_cast<std::ptrdiff_t>(luck_.index(pauses.size())));
    return;
  }
  outbox::pause_scope scope;
  if (luck_.per_cent(50)) {
    scope.exchange = destinations()[luck_.index(destinations().size())].first;
  } else if (luck_.per_cent(80)) {
    scope.ordering_key = "k" + std::to_string(luck_.any(1, habits_.keys));
  }
  std::erase_if(pauses, [&](const outbox::pause_in_force& p) { return p.scope == scope; });
  pauses.push_back({scope, "why not", "operator", {}, std::nullopt});
}

void services::operators_step() {
  if (!luck_.per_mille(habits_.operators)) return;
  std::vector<row_ref> rows = table_.dead();
  for (const row_ref& ref : table_.unfinished())
    if (table_.find(ref)->msg.attempts > 0) rows.push_back(ref);
  if (rows.empty()) return;
  const row_ref& one = rows[luck_.index(rows.size())];
  if (table_.find(one)->state == status::dead && luck_.per_cent(60)) {
    table_.retry(one);
  } else {
    table_.discard(one);
  }
}

}  // namespace outboxd::simulation
