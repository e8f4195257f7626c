#include "service/status_json.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.hpp"
#include "service/held.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;

json::value or_null(const std::optional<std::string>& text) {
  return text ? json::value(base::as_text(*text)) : json::value(nullptr);
}

json::value in_seconds(const std::optional<std::chrono::milliseconds>& time) {
  return time ? json::value(std::chrono::duration<double>(*time).count()) : json::value(nullptr);
}

json::object as_json(const relay::hold_status& hold) {
  return {{"destination", base::as_text(destination_in_words(hold))},
          {"detail", base::as_text(hold_in_words(hold))},
          {"exchange", base::as_text(hold.exchange)},
          {"routing_key", or_null(hold.routing_key)},
          {"reason", base::as_text(hold.reason)},
          {"held_seconds", in_seconds(hold.since)},
          {"probes", hold.probes},
          {"next_probe_in_seconds", in_seconds(hold.next_probe_in)}};
}

json::object as_json(const relay::pause_status& pause) {
  return {{"exchange", or_null(pause.scope.exchange)},
          {"ordering_key", or_null(pause.scope.ordering_key)},
          {"reason", base::as_text(pause.reason)},
          {"by", base::as_text(pause.by)},
          {"paused_seconds", in_seconds(pause.since)},
          {"ends_in_seconds", in_seconds(pause.ends_in)}};
}

// As last counted; null where nobody has.
json::value dead_rows(const std::optional<outbox::backlog>& counted) {
  if (!counted) return nullptr;
  std::int64_t asked = 0;
  json::object by_reason;
  for (const auto& [reason, rows] : counted->dead_reasons) {
    by_reason[reason] = rows;
    asked += rows;
  }
  return json::object{
      {"rows", counted->dead}, {"newest_asked", asked}, {"by_reason", std::move(by_reason)}};
}

// The first of them under that name, and how many more there are.
template <typename T>
void add_named(json::object& to, const std::string& name, const std::vector<T>& all) {
  const auto named = std::min(all.size(), holds_named);
  json::array shown;
  for (std::size_t i = 0; i < named; ++i) shown.push_back(as_json(all[i]));
  to[name] = std::move(shown);
  to["more_" + name] = all.size() - named;
}

constexpr std::array measured{"outbox_pending_messages", "outbox_deferred_messages",
                              "outbox_dead_messages"};

// The durations of statements are for Prometheus: two hundred buckets that nobody here looks at.
// Where rows were not counted, as on a stand-by, a zero would be read as one.
bool is_shown(const std::string& sample, double value, bool counted) {
  const bool known = counted || std::ranges::find(measured, sample) == measured.end();
  return known && std::isfinite(value) &&
         !sample.starts_with("outbox_db_query_duration_seconds_bucket");
}

}  // namespace

json::array as_json(const std::vector<readiness_check>& checks) {
  json::array all;
  for (const auto& check : checks) {
    all.push_back(json::object{
        {"name", check.name}, {"ok", check.ok}, {"detail", base::as_text(check.detail)}});
  }
  return all;
}

std::string status_json(const process_view& now, const samples& metrics) {
  const auto checks = readiness(now);
  json::object values;
  for (const auto& [name, value] : metrics) {
    if (is_shown(name, value, now.relay.backlog.has_value())) values[base::as_text(name)] = value;
  }
  json::object all{{"instance", base::as_text(now.instance)},
                   {"version", version()},
                   {"revision", revision()},
                   {"uptime_seconds", now.uptime.count()},
                   {"state", now.relay.draining ? "draining" : to_string(now.relay.lead)},
                   {"ready", is_ready(checks)},
                   {"checks", as_json(checks)}};
  add_named(all, "holds", now.relay.holds);
  add_named(all, "pauses", now.relay.pauses);
  all["dead"] = dead_rows(now.relay.backlog);
  all["metrics"] = std::move(values);
  return json::serialize(all) + "\n";
}

}  // namespace outboxd::service
