#include "service/status_json.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cmath>

#include "outbox/pg_text.hpp"
#include "service/held.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;

// Before it has agreed on an encoding a server complains in its own.
std::string valid(std::string_view text) {
  return outbox::storable_text(text, text.size());
}

json::array holds(const relay::status& now) {
  json::array all;
  for (std::size_t i = 0; i < std::min(now.holds.size(), holds_named); ++i) {
    all.push_back(json::object{{"destination", valid(destination_in_words(now.holds[i]))},
                               {"detail", valid(hold_in_words(now.holds[i]))}});
  }
  return all;
}

// The durations of statements are for Prometheus: two hundred buckets that nobody here looks at.
bool is_shown(const std::string& sample, double value) {
  return std::isfinite(value) && !sample.starts_with("outbox_db_query_duration_seconds_bucket");
}

}  // namespace

json::array as_json(const std::vector<readiness_check>& checks) {
  json::array all;
  for (const auto& check : checks) {
    all.push_back(
        json::object{{"name", check.name}, {"ok", check.ok}, {"detail", valid(check.detail)}});
  }
  return all;
}

std::string status_json(const process_view& now, const samples& metrics) {
  const auto checks = readiness(now);
  json::object values;
  for (const auto& [name, value] : metrics) {
    if (is_shown(name, value)) values[valid(name)] = value;
  }
  const json::object all{
      {"instance", valid(now.instance)},
      {"version", version()},
      {"revision", revision()},
      {"uptime_seconds", now.uptime.count()},
      {"state", now.relay.draining ? "draining" : to_string(now.relay.lead)},
      {"ready", is_ready(checks)},
      {"checks", as_json(checks)},
      {"holds", holds(now.relay)},
      {"more_holds", now.relay.holds.size() - std::min(now.relay.holds.size(), holds_named)},
      {"metrics", std::move(values)}};
  return json::serialize(all) + "\n";
}

}  // namespace outboxd::service
