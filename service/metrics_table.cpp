#include "service/metrics_table.hpp"

#include <algorithm>
#include <array>
#include <cassert>

namespace outboxd::service {
namespace {

using enum metric_kind;

constexpr std::string_view failures =
    "returned|nacked|no_exchange|forbidden|refused|too_large|invalid|delay_too_long";
constexpr std::string_view operations =
    "read|load_bodies|load_failed|load_pauses|settle|decide|measure|purge|look_around|try_lead|"
    "ping|try_wake_"
    "lock|release_wake_lock";

// clang-format off
constexpr std::array table{
    metric_row{"outbox_messages_published_total", counter, "Messages written to a broker connection, every attempt counted."},
    metric_row{"outbox_messages_confirmed_total", counter, "Messages the broker acknowledged and did not return."},
    metric_row{"outbox_messages_failed_total", counter, "Attempts that the broker refused or that were never sent because they could not be.", "reason", failures},
    metric_row{"outbox_messages_unknown_total", counter, "Messages whose outcome is unknown; they are sent again, which may duplicate them.", "reason", "timeout|connection_lost|channel_closed"},
    metric_row{"outbox_messages_dead_total", counter, "Rows marked dead.", "reason", failures},
    metric_row{"outbox_messages_replayed_total", counter, "Sent rows that were confirmed once more, after `outboxd replay`."},
    metric_row{"outbox_messages_purged_total", counter, "Rows deleted because their retention was over."},
    metric_row{"outbox_published_bytes_total", counter, "Payload bytes of published messages."},
    metric_row{"outbox_broker_reconnects_total", counter, "Broker connections that opened again after they were lost."},
    metric_row{"outbox_broker_channel_errors_total", counter, "Channels closed by the broker, by AMQP reply code.", "code", "311|403|404|405|406|other"},
    metric_row{"outbox_broker_blocked_seconds_total", counter, "Time during which the broker had blocked publishing."},
    metric_row{"outbox_db_reconnects_total", counter, "Database sessions that were opened again after they were lost."},
    metric_row{"outbox_db_polls_total", counter, "Statements that looked for rows."},
    metric_row{"outbox_db_notifications_total", counter, "Wake-ups sent by a writer's commit."},
    metric_row{"outbox_leadership_changes_total", counter, "Times this instance gained or lost the lead."},
    metric_row{"outbox_log_messages_total", counter, "Lines logged.", "level", "debug|info|warn|error"},

    metric_row{"outbox_pending_messages", gauge, "Committed rows not yet sent, measured every few seconds; exact up to 100,000, an estimate above, 0 on stand-bys."},
    metric_row{"outbox_deferred_messages", gauge, "Rows that failed or are scheduled and wait for their time, measured like pending; 0 on stand-bys."},
    metric_row{"outbox_dead_messages", gauge, "Rows given up, measured like pending; 0 on stand-bys."},
    metric_row{"outbox_oldest_pending_age_seconds", gauge, "Age by the database's clock of the oldest row that should be out by now; 0 when there is none, absent unless this instance leads. Alert on this one and on outbox_leader."},
    metric_row{"outbox_unconfirmed_messages", gauge, "Messages in flight now."},
    metric_row{"outbox_held_keys", gauge, "Ordering keys that wait for a row that failed."},
    metric_row{"outbox_held_destinations", gauge, "Destinations that wait because several of their rows failed, or because they stopped confirming."},
    metric_row{"outbox_broker_connected", gauge, "1 when every broker connection is open, the quarantine not counted; a stand-by may have none."},
    metric_row{"outbox_broker_blocked", gauge, "1 while the broker blocks publishing on any connection but the quarantine."},
    metric_row{"outbox_db_connected", gauge, "1 while the database answers."},
    metric_row{"outbox_leader", gauge, "1 on the instance that relays."},
    metric_row{"outbox_paused", gauge, "Pauses by operators in force; 0: nothing is paused."},
    metric_row{"outbox_schema_version", gauge, "Number of the last migration found in the database; 0 until it is known."},
    metric_row{"outbox_build_info", gauge, "Always 1; the labels say what was built.", "version,revision"},

    metric_row{"outbox_delivery_latency_seconds", histogram, "From created_at to the broker's first confirm, by the database's clock; rows that are replayed do not count."},
    metric_row{"outbox_confirm_latency_seconds", histogram, "From writing a message to its confirm."},
    metric_row{"outbox_db_query_duration_seconds", histogram, "Duration of statements, by what they are for.", "operation", operations},
    metric_row{"outbox_batch_messages", histogram, "Rows found by one statement that looked for rows."},

    metric_row{"process_cpu_seconds_total", counter, "User and system CPU time."},
    metric_row{"process_resident_memory_bytes", gauge, "Resident memory size."},
    metric_row{"process_virtual_memory_bytes", gauge, "Virtual memory size."},
    metric_row{"process_open_fds", gauge, "Open file descriptors."},
    metric_row{"process_max_fds", gauge, "Most file descriptors that may be open."},
    metric_row{"process_threads", gauge, "Threads."},
    metric_row{"process_start_time_seconds", gauge, "Start of the process, seconds since the epoch."},
};
// clang-format on

constexpr std::string_view introduction = R"(# Metrics

`GET /metrics` on `OUTBOX_HTTP_LISTEN`, in Prometheus' text format. This page is printed by
`outboxd config --reference metrics`; a test compares the two. Every known label value is there at zero from the
start. None of these numbers costs a table scan.

| name | type | labels | meaning |
|---|---|---|---|
)";

}  // namespace

std::span<const metric_row> metrics_table() {
  return table;
}

const metric_row& metric(std::string_view name) {
  const auto* found = std::find_if(table.begin(), table.end(),
                                   [&](const metric_row& row) { return row.name == name; });
  assert(found != table.end());
  return *found;
}

std::vector<std::string> split_values(std::string_view known_values) {
  std::vector<std::string> values;
  while (!known_values.empty()) {
    const auto end = std::min(known_values.find('|'), known_values.size());
    values.emplace_back(known_values.substr(0, end));
    known_values.remove_prefix(std::min(end + 1, known_values.size()));
  }
  return values;
}

std::string_view to_string(metric_kind kind) {
  switch (kind) {
    case counter:
      return "counter";
    case gauge:
      return "gauge";
    case histogram:
      return "histogram";
  }
  return "?";
}

std::string metrics_reference() {
  std::string out(introduction);
  for (const auto& row : table) {
    std::string labels(row.label);
    if (!row.known_values.empty()) labels += ": ";
    for (const auto& value : split_values(row.known_values)) {
      labels += (labels.ends_with(": ") ? "`" : ", `") + value + "`";
    }
    out.append("| `").append(row.name).append("` | ").append(to_string(row.kind));
    out.append(" | ").append(labels).append(" | ").append(row.help).append(" |\n");
  }
  return out;
}

}  // namespace outboxd::service
