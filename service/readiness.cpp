#include "service/readiness.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "service/held.hpp"

namespace outboxd::service {
namespace {

using outbox::lead_state;

std::string in_seconds(std::chrono::microseconds d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
}

// What the lanes are at for longer than a statement should take.
std::string slow_calls(const std::vector<outbox::db_call>& calls) {
  std::string text;
  for (const auto& call : calls) {
    if (call.lasts < std::chrono::seconds(1)) continue;
    text += (text.empty() ? "" : "; ") + call.lane + " in " + call.operation + " for " +
            in_seconds(call.lasts);
  }
  return text;
}

readiness_check database(const process_view& view) {
  const auto& now = view.relay;
  if (now.lead == lead_state::connecting || now.lead == lead_state::stopped) {
    return {"database", false, now.lead_detail.empty() ? "not connected yet" : now.lead_detail};
  }
  if (now.lead == lead_state::leading && !now.store_ok)
    return {"database", false, now.store_detail};
  return {"database", true, slow_calls(view.database_calls)};
}

readiness_check schema(const relay::status& now) {
  switch (now.lead) {
    case lead_state::not_ready:
      return {"schema", false, now.lead_detail};
    case lead_state::standby:
    case lead_state::leading:
      return {"schema", true, {}};
    case lead_state::connecting:
    case lead_state::stopped:
      break;
  }
  return {"schema", false, "not checked: no database"};
}

readiness_check lead(const relay::status& now) {
  const bool ok = now.lead == lead_state::leading || now.lead == lead_state::standby;
  std::string text(to_string(now.lead));
  if (now.lead == lead_state::standby && !now.lead_detail.empty()) text += ", " + now.lead_detail;
  return {"lead", ok, text};
}

template <typename Wrong>
std::string describe_lanes(const relay::status& now, Wrong wrong) {
  std::string text;
  for (std::size_t i = 0; i < now.lanes.size(); ++i) {
    if (!wrong(now.lanes[i])) continue;
    text += (text.empty() ? "connection " : "; connection ") + std::to_string(i);
    if (!now.lanes[i].detail.empty()) text += ": " + now.lanes[i].detail;
  }
  return text;
}

// Only the leader publishes; nobody else needs the broker.
readiness_check broker(const relay::status& now) {
  if (now.lead != lead_state::leading) return {"broker", true, "not needed while not leading"};
  const auto closed = describe_lanes(now, [](const auto& lane) { return !lane.open; });
  if (now.lanes.empty()) return {"broker", false, "no connection yet"};
  return {"broker", closed.empty(), closed.empty() ? "" : "not open: " + closed};
}

readiness_check blocked(const relay::status& now) {
  const auto lanes = describe_lanes(now, [](const auto& lane) { return lane.blocked; });
  return {"blocked", lanes.empty(), lanes.empty() ? "" : "the broker blocks " + lanes};
}

readiness_check quarantine(const relay::status& now) {
  if (!now.quarantine) return {"quarantine", true, "not needed"};
  if (now.quarantine->open && !now.quarantine->blocked) return {"quarantine", true, "open"};
  return {"quarantine", true,
          (now.quarantine->open ? "blocked" : "not open") +
              (now.quarantine->detail.empty() ? "" : ": " + now.quarantine->detail)};
}

readiness_check unconfirmed(const relay::status& now) {
  std::string text = std::to_string(now.unconfirmed);
  if (now.unconfirmed > 0 && now.oldest_unconfirmed_age)
    text += ", the oldest for " + in_seconds(*now.oldest_unconfirmed_age);
  return {"unconfirmed", true, text};
}

readiness_check held(const relay::status& now) {
  std::string text = std::to_string(now.held_keys) + " keys, " + std::to_string(now.holds.size()) +
                     " destinations";
  const auto named = std::min(now.holds.size(), holds_named);
  for (std::size_t i = 0; i < named; ++i)
    text += "; " + destination_in_words(now.holds[i]) + " " + hold_in_words(now.holds[i]);
  if (named < now.holds.size())
    text += "; and " + std::to_string(now.holds.size() - named) + " more";
  return {"held", true, text};
}

// No reason not to be ready: it is what somebody wants.
readiness_check paused(const relay::status& now) {
  std::string text;
  const auto named = std::min(now.pauses.size(), holds_named);
  for (std::size_t i = 0; i < named; ++i)
    text += (i == 0 ? "" : "; ") + pause_in_words(now.pauses[i]);
  if (named < now.pauses.size())
    text += "; and " + std::to_string(now.pauses.size() - named) + " more";
  return {"paused", true, text.empty() ? "nothing" : text};
}

}  // namespace

std::vector<readiness_check> readiness(const process_view& view) {
  const auto& now = view.relay;
  return {database(view),   schema(now),
          lead(now),        broker(now),
          blocked(now),     quarantine(now),
          unconfirmed(now), held(now),
          paused(now),      {"draining", !now.draining, now.draining ? "shutting down" : ""}};
}

std::string in_one_line(const process_view& view) {
  for (const readiness_check& c : readiness(view)) {
    if (!c.ok) return "not ready: " + std::string(c.name) + ": " + c.detail;
  }
  const auto& now = view.relay;
  if (now.lead != lead_state::leading) return lead(now).detail;
  std::string text = "leading";
  if (now.backlog) text += ", " + std::to_string(now.backlog->pending) + " rows wait";
  if (now.oldest_pending_age) text += ", the oldest for " + in_seconds(*now.oldest_pending_age);
  if (!now.pauses.empty()) text += ", paused: " + paused(now).detail;
  if (!now.holds.empty()) text += ", " + std::to_string(now.holds.size()) + " destinations held";
  return text;
}

bool is_ready(const std::vector<readiness_check>& checks) {
  return std::all_of(checks.begin(), checks.end(), [](const auto& c) { return c.ok; });
}

std::string in_lines(const std::vector<readiness_check>& checks) {
  std::string out;
  for (const auto& check : checks) {
    out.append(check.ok ? "[+]" : "[-]").append(check.name).append(check.ok ? " ok" : " not ok");
    if (!check.detail.empty()) out.append(": ").append(base::one_line(check.detail));
    out += '\n';
  }
  return out.append(is_ready(checks) ? "ready\n" : "not ready\n");
}

}  // namespace outboxd::service
