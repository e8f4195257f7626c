#include "tests/simulation/checker.hpp"

#include <algorithm>
#include <sstream>

#include "tests/simulation/trace.hpp"

namespace outboxd::simulation {

namespace {

constexpr int attempts_before_giving_up = 10;

std::string_view to_string(nature n) {
  constexpr std::string_view names[] = {"good",    "never_routes", "refused", "kills_connection",
                                        "invalid", "too_large",    "too_far"};
  return names[static_cast<std::size_t>(n)];
}

std::string_view to_string(fate_in_table f) {
  constexpr std::string_view names[] = {"unborn", "visible", "rolled back", "vanished",
                                        "discarded"};
  return names[static_cast<std::size_t>(f)];
}

}  // namespace

// Where a key has an order: of one queue, as promised; with one row at a time over all of them.
std::string checker::queue_of(const story& s) const {
  const std::string& key = *s.msg.ordering_key;
  return pipelined ? key + " " + s.msg.exchange + " " + s.msg.routing_key : key;
}

story& checker::written(const outbox::message& m, nature what) {
  story& s = stories_[m.ref];
  s.msg = m;
  s.what = what;
  return s;
}

void checker::committed(const row_ref& ref) {
  story& s = at(ref);
  s.where = fate_in_table::visible;
  s.visible_at = clock_.now;
}

void checker::rolled_back(const row_ref& ref) {
  at(ref).where = fate_in_table::rolled_back;
}

void checker::vanished(const row_ref& ref) {
  story& s = at(ref);
  s.where = fate_in_table::vanished;
  if (s.msg.ordering_key) delivered_ids_[queue_of(s)].erase(ref.id);
}

void checker::marked_sent(const row_ref& ref) {
  const story& s = at(ref);
  require(s.told_confirmed, invariant::sent_only_when_confirmed,
          "marked sent without its own confirm: " + describe(ref));
  require(s.deliveries > 0, invariant::nothing_lost, "sent and not there: " + describe(ref));
}

void checker::died(const row_ref& ref, int attempts, std::chrono::microseconds failing_for) {
  story& s = at(ref);
  const bool bad = s.what != nature::good && s.what != nature::never_routes;
  const bool given_up =
      give_up_after > 0ms && attempts >= attempts_before_giving_up && failing_for >= give_up_after;
  require(bad || given_up, invariant::dead_only_when_refused,
          "dead after " + std::to_string(attempts) + " attempts: " + describe(ref));
  s.dead = true;
}

void checker::delivered(const row_ref& ref, bool then_nacked) {
  story& s = at(ref);
  require(s.where != fate_in_table::rolled_back && s.where != fate_in_table::unborn,
          invariant::no_phantom, describe(ref));
  if (then_nacked) ++s.excused;
  ++s.deliveries;
  trace(clock_, "delivered", ref.id, then_nacked ? "but nacked" : "");
  require(s.deliveries <= 1 + s.exposures + s.excused, invariant::duplicates_bounded,
          "delivered once more than faults explain: " + describe(ref));
  if (s.deliveries > 1 || !s.msg.ordering_key || s.where != fate_in_table::visible) return;

  std::set<std::int64_t>& before = delivered_ids_[queue_of(s)];
  const bool may_be_late = pipelined && (s.refused_by_one || s.told_failed);
  const bool takes_its_turn = !s.scheduled && !s.out_of_turn && !s.dead && !may_be_late;
  require(!takes_its_turn || before.empty() || *before.rbegin() < ref.id,
          invariant::first_deliveries_in_order,
          describe(ref) + " comes after " +
              (before.empty() ? "nothing" : std::to_string(*before.rbegin())));
  before.insert(ref.id);
}

void checker::dropped(const row_ref& ref) {
  ++at(ref).deliveries;
  ++at(ref).excused;
}

void checker::refused(const row_ref& ref) {
  at(ref).refused_by_one = true;
}

void checker::published(const row_ref& ref, const std::vector<row_ref>& earlier,
                        const std::vector<row_ref>& beside, bool outdated) {
  story& s = at(ref);
  ++s.publishes;
  ++publishes_[{s.msg.exchange, s.msg.routing_key}];
  if (s.where != fate_in_table::visible) return;
  for (const row_ref& e : earlier) {
    const story& other = of(e);
    if (other.told_confirmed || other.out_of_turn) continue;
    if (other.what == nature::too_far) continue;  // had no place in the order when it was decided
    // It was not due yet when this one was read, or went out for the first time.
    if (other.scheduled && (outdated || s.publishes > 1)) continue;
    const bool may_be_overtaken =
        pipelined && (other.told_failed || std::ranges::find(beside, e) != beside.end());
    require(may_be_overtaken, invariant::publish_rule,
            describe(ref) + "\n  overtakes " + describe(e));
  }
}

void checker::told(const row_ref& ref, relay::verdict what) {
  story& s = at(ref);
  if (what == relay::verdict::confirmed) {
    s.told_confirmed = true;
  } else if (what != relay::verdict::unknown) {
    s.told_failed = true;
  }
}

void checker::finished(const std::vector<row_ref>& waiting,
                       const std::set<row_ref>& may_wait) const {
  std::string stuck;
  for (const row_ref& ref : waiting)
    if (!may_wait.contains(ref)) stuck += "\n  " + describe(ref);
  require(stuck.empty(), invariant::drained, "these wait for ever:" + stuck);

  const std::set<row_ref> still_there(waiting.begin(), waiting.end());
  for (const auto& [ref, s] : stories_) {
    const bool over = s.where != fate_in_table::visible || s.dead || still_there.contains(ref);
    require(over || s.deliveries > 0, invariant::nothing_lost, describe(ref));
  }
}

std::string checker::describe(const row_ref& ref) const {
  const auto it = stories_.find(ref);
  std::ostringstream text;
  text << "row " << ref.id << " (" << ref.message_id << ")";
  if (it == stories_.end()) return text.str() + " unheard of";
  const story& s = it->second;
  text << " key " << s.msg.ordering_key.value_or("-") << " to " << s.msg.exchange << "/"
       << s.msg.routing_key << ", " << to_string(s.what) << ", " << to_string(s.where)
       << (s.scheduled ? ", scheduled" : "") << (s.out_of_turn ? ", out of turn" : "")
       << (s.dead ? ", dead" : "") << (s.told_confirmed ? ", confirmed" : "") << ", published "
       << s.publishes << ", delivered " << s.deliveries << ", exposed " << s.exposures;
  return text.str();
}

}  // namespace outboxd::simulation
