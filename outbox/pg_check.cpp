#include "outbox/pg_check.hpp"

#include <functional>

#include "outbox/conninfo.hpp"
#include "outbox/db_failure.hpp"
#include "outbox/pg_check_server.hpp"
#include "outbox/schema_probe.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {
namespace {

using base::failure_kind;

// $1 schema. What the relay needs, and then what only verbs for operators need. Tables of a later
// version than the one that is there are left out.
constexpr std::string_view grants_sql = R"(
SELECT 'USAGE on the schema', has_schema_privilege(s.oid, 'USAGE'), true
  FROM pg_namespace AS s WHERE s.nspname = $1::text
 UNION ALL
(SELECT needed.privilege || ' on ' || needed.name, has_table_privilege(t.oid, needed.privilege), true
   FROM unnest(ARRAY['messages', 'messages', 'messages', 'lead', 'lead', 'schema_version', 'pauses'],
               ARRAY['SELECT', 'UPDATE', 'DELETE', 'SELECT', 'UPDATE', 'SELECT', 'SELECT'])
          WITH ORDINALITY AS needed (name, privilege, position)
   JOIN pg_namespace AS s ON s.nspname = $1::text
   JOIN pg_class AS t ON t.relnamespace = s.oid AND t.relname = needed.name
  ORDER BY needed.position)
 UNION ALL
(SELECT 'EXECUTE on ' || p.proname, bool_and(has_function_privilege(p.oid, 'EXECUTE')), false
   FROM pg_proc AS p JOIN pg_namespace AS s ON s.oid = p.pronamespace
  WHERE s.nspname = $1::text
    AND p.proname IN ('retry', 'discard', 'retry_where', 'discard_where', 'replay_where', 'purge_where', 'pause', 'resume')
  GROUP BY p.proname
  ORDER BY p.proname))";

check_line judge_schema(const schema_probe& probe, const std::string& schema) {
  const std::string version = outbox::quoted(schema) + " version " + std::to_string(probe.version);
  switch (probe.fit) {
    case schema_fit::exact:
      return {"schema", check_state::ok, version};
    case schema_fit::older:
      return {"schema", check_state::warn,
              version + " will do; run `outboxd migrate` for version " +
                  std::to_string(newest_version())};
    case schema_fit::newer:
      return {"schema", check_state::warn, version + ", made by a newer outboxd"};
    case schema_fit::missing:
    case schema_fit::too_old:
      break;
  }
  return {"schema", check_state::fail, advice(probe, schema)};
}

void check_grants(session& db, const std::string& schema, const std::string& role,
                  std::vector<check_line>& lines) {
  for (const auto& grant : db.run({"grants", std::string(grants_sql)}, schema)) {
    check_line line{std::string("grant ") + grant[0].c_str(), check_state::ok, "",
                    failure_kind::forbidden};
    if (!grant[1].as<bool>()) {
      const bool needed = grant[2].as<bool>();
      line.state = needed ? check_state::fail : check_state::warn;
      line.detail = "role " + role + " lacks it: GRANT outbox_relay TO " + outbox::quoted(role) +
                    (needed ? "" : "; only verbs for operators want it");
    }
    lines.push_back(std::move(line));
  }
}

void check_schema(session& db, const check_options& options, std::vector<check_line>& lines) {
  const auto probe = probe_schema(db, lead_statements(options.schema), options.schema);
  check_grants(db, options.schema, probe.role, lines);
  // Without the grants the version cannot be read.
  if (probe.lacking.empty()) lines.push_back(judge_schema(probe, options.schema));
}

session connect(const check_options& options) {
  return {complete_conninfo(options.url, options.application_name),
          {{"statement_timeout", "10s"}, {"lock_timeout", "5s"}}};
}

// What one part cannot do is its line, and the others go on.
void part(std::vector<check_line>& lines, const char* name, const std::function<void()>& check) {
  try {
    check();
  } catch (...) {
    auto why = describe_current_exception().failure;
    lines.push_back({name, check_state::fail, why.text, why.kind});
  }
}

void check_server(session& db, const check_options& options, std::vector<check_line>& lines) {
  part(lines, "notify", [&] {
    session other = connect(options);
    lines.push_back(check_notify(db, other));
  });
  part(lines, "clock", [&] { lines.push_back(check_clock(db)); });
  part(lines, "autovacuum", [&] { lines.push_back(check_autovacuum(db, options.schema)); });
  part(lines, "horizon", [&] {
    for (auto& line : check_horizon(db, options.old_transaction)) lines.push_back(std::move(line));
  });
}

}  // namespace

std::vector<check_line> check_database(const check_options& options) {
  std::vector<check_line> lines;
  try {
    session db = connect(options);
    lines.push_back({"database", check_state::ok, "PostgreSQL " + db.server_version()});
    lines.push_back({"pooler", check_state::ok, "none in between"});
    lines.push_back({"encoding", check_state::ok, "UTF8"});
    part(lines, "schema", [&] { check_schema(db, options, lines); });
    check_server(db, options, lines);
  } catch (const pooler_in_between& pooler) {
    lines.push_back({"pooler", check_state::fail, pooler.what()});
  } catch (const wrong_encoding& encoding) {
    lines.push_back({"encoding", check_state::fail, encoding.what()});
  } catch (...) {
    auto why = describe_current_exception().failure;
    lines.push_back({"database", check_state::fail, why.text, why.kind});
  }
  return lines;
}

}  // namespace outboxd::outbox
