#include "outbox/pg_check_server.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <sstream>

namespace outboxd::outbox {
namespace {

using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto notified_within = 2s;
constexpr auto clocks_agree_within = 1s;

bool notified(session& listener, steady_clock::time_point limit) {
  for (;;) {
    if (listener.take_notifications() > 0) return true;
    const auto left = duration_cast<milliseconds>(limit - steady_clock::now());
    if (left <= 0ms) return false;
    pollfd readable{listener.socket()->descriptor(), POLLIN, 0};
    ::poll(&readable, 1, static_cast<int>(left.count()) + 1);
  }
}

std::string in_milliseconds(microseconds time) {
  std::ostringstream out;
  out.precision(time < 10ms ? 2 : 3);
  out << std::chrono::duration<double, std::milli>(time).count() << " ms";
  return out.str();
}

// $1 schema. By name: a schema that we may not use has tables all the same.
constexpr std::string_view autovacuum_sql = R"(
SELECT current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean,
       coalesce((SELECT bool_and(o.option_value::boolean)
                   FROM pg_class AS part CROSS JOIN LATERAL pg_options_to_table(part.reloptions) AS o
                  WHERE part.oid IN (t.oid, t.reltoastrelid) AND o.option_name = 'autovacuum_enabled'), true),
       coalesce(pg_stat_get_dead_tuples(t.oid), 0),
       date_trunc('second', now() - pg_stat_get_last_autovacuum_time(t.oid))
  FROM (SELECT 1) AS always
  LEFT JOIN pg_class AS t ON t.relname = 'messages' AND t.relkind = 'r'
        AND t.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = $1::text))";

// $1 milliseconds. Rows of a table are kept for transactions of the same database, and for
// stand-bys. What has no beginning in time is judged by the number of transactions since.
constexpr std::string_view horizon_sql = R"(
SELECT held.who, coalesce(date_trunc('second', held.lasts)::text, held.transactions || ' transactions')
  FROM (SELECT 'transaction of pid ' || a.pid || ' ('
                 || concat_ws(', ', a.usename, nullif(a.application_name, ''), host(a.client_addr), a.state) || ')' AS who,
               now() - a.xact_start AS lasts, age(a.backend_xmin) AS transactions
          FROM pg_stat_activity AS a
         WHERE a.pid <> pg_backend_pid() AND a.datname = current_database()
           AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
         UNION ALL
        SELECT 'prepared transaction ' || quote_literal(p.gid) || ' (' || p.owner || ')', now() - p.prepared, age(p.transaction)
          FROM pg_prepared_xacts AS p WHERE p.database = current_database()
         UNION ALL
        SELECT 'replication slot ' || s.slot_name || CASE WHEN s.active THEN '' ELSE ' (not in use)' END, NULL, age(s.xmin)
          FROM pg_replication_slots AS s WHERE s.xmin IS NOT NULL
         UNION ALL
        SELECT 'stand-by ' || concat_ws(', ', nullif(r.application_name, ''), host(r.client_addr)), NULL, age(r.backend_xmin)
          FROM pg_stat_replication AS r WHERE r.backend_xmin IS NOT NULL) AS held
 WHERE held.lasts >= $1::bigint * interval '1 ms' OR held.lasts IS NULL AND held.transactions >= 100000
 ORDER BY held.lasts DESC NULLS LAST, held.transactions DESC
 LIMIT 10)";

constexpr std::string_view hidden_sql = R"(
SELECT count(*) FROM pg_stat_activity AS a
 WHERE a.datname = current_database() AND a.query = '<insufficient privilege>')";

}  // namespace

check_line check_notify(session& db, session& other) {
  const std::string channel = "outboxd_check_" + std::to_string(other.pid());
  other.listen(channel);
  const auto began = steady_clock::now();
  db.run({"notify", "SELECT pg_notify($1::text, '')"}, channel);
  if (!notified(other, began + notified_within))
    return {"notify", check_state::warn,
            "a NOTIFY did not arrive within 2 s: rows go out at the next poll only"};
  const auto took = duration_cast<microseconds>(steady_clock::now() - began);
  return {"notify", check_state::ok, "arrived in " + in_milliseconds(took)};
}

check_line check_clock(session& db) {
  using std::chrono::system_clock;
  const auto before = system_clock::now();
  const auto answer =
      db.run({"clock", "SELECT (date_part('epoch', clock_timestamp()) * 1000000)::bigint"})[0][0];
  const auto after = system_clock::now();
  const system_clock::time_point there{microseconds(answer.as<std::int64_t>())};
  const auto ahead = duration_cast<microseconds>(there - before - (after - before) / 2);
  const std::string text = "the database is " + in_milliseconds(std::max(ahead, -ahead)) +
                           (ahead.count() < 0 ? " behind" : " ahead of") + " this host";
  // Its clock was read at some time between the two.
  const auto certain = std::max(ahead, -ahead) - duration_cast<microseconds>(after - before) / 2;
  if (certain < clocks_agree_within) return {"clock", check_state::ok, text};
  return {"clock", check_state::warn,
          text + ": not_before, ages and retention go by the database, logs by this host"};
}

check_line check_autovacuum(session& db, const std::string& schema) {
  const auto found = db.run({"autovacuum", std::string(autovacuum_sql)}, schema)[0];
  if (!found[0].as<bool>())
    return {
        "autovacuum", check_state::warn,
        "off on this server (autovacuum, track_counts): what was sent is never removed from the "
        "table's files"};
  if (!found[1].as<bool>())
    return {"autovacuum", check_state::warn,
            "off for the table: ALTER TABLE " + schema +
                ".messages RESET (autovacuum_enabled, toast.autovacuum_enabled)"};
  const std::string last =
      found[3].is_null() ? "never ran" : std::string("ran ") + found[3].c_str() + " ago";
  return {"autovacuum", check_state::ok, last + ", " + found[2].c_str() + " dead row versions"};
}

std::vector<check_line> check_horizon(session& db, std::chrono::milliseconds old) {
  std::vector<check_line> lines;
  for (const auto& held : db.run({"horizon", std::string(horizon_sql)}, old.count())) {
    lines.push_back({"horizon", check_state::warn,
                     std::string(held[0].c_str()) +
                         " has kept vacuum from removing what was sent for " + held[1].c_str()});
  }
  const auto hidden = db.run({"hidden", std::string(hidden_sql)})[0][0].as<std::int64_t>();
  if (!lines.empty()) return lines;
  std::string text = "no transaction is older than " +
                     std::to_string(duration_cast<std::chrono::seconds>(old).count()) + " s";
  if (hidden > 0)
    text += "; " + std::to_string(hidden) +
            " sessions of other roles are not shown to this one (GRANT pg_read_all_stats)";
  return {{"horizon", check_state::ok, text}};
}

}  // namespace outboxd::outbox
