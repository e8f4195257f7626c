#include "service/readiness.hpp"

#include <algorithm>

namespace outboxd::service {
namespace {

using outbox::lead_state;

readiness_check database(const relay::status& now) {
  if (now.lead == lead_state::connecting || now.lead == lead_state::stopped) {
    return {"database", false, now.lead_detail.empty() ? "not connected yet" : now.lead_detail};
  }
  if (now.lead == lead_state::leading && !now.store_ok)
    return {"database", false, now.store_detail};
  return {"database", true, {}};
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
  return {"lead", ok, std::string(to_string(now.lead))};
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

}  // namespace

std::vector<readiness_check> readiness(const relay::status& now) {
  return {database(now), schema(now),
          lead(now),     broker(now),
          blocked(now),  {"draining", !now.draining, now.draining ? "shutting down" : ""}};
}

bool is_ready(const std::vector<readiness_check>& checks) {
  return std::all_of(checks.begin(), checks.end(), [](const auto& c) { return c.ok; });
}

}  // namespace outboxd::service
