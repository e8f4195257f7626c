#include "outbox/pg_check.hpp"

#include "outbox/conninfo.hpp"
#include "outbox/db_failure.hpp"
#include "outbox/schema_probe.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {
namespace {

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

void check_schema(session& db, const check_options& options, std::vector<check_line>& lines) {
  const auto probe = probe_schema(db, lead_statements(options.schema), options.schema);
  // Without the grants the version cannot be read.
  if (!probe.lacking.empty()) {
    lines.push_back({"grants", check_state::fail, advice(probe, options.schema)});
    return;
  }
  lines.push_back(judge_schema(probe, options.schema));
  if (probe.ready()) lines.push_back({"grants", check_state::ok, "of role " + probe.role});
}

}  // namespace

std::vector<check_line> check_database(const check_options& options) {
  std::vector<check_line> lines;
  std::string failing = "database";
  try {
    session db(complete_conninfo(options.url, options.application_name),
               {{"statement_timeout", "10s"}, {"lock_timeout", "5s"}});
    lines.push_back({"database", check_state::ok, "PostgreSQL " + db.server_version()});
    failing = "schema";
    check_schema(db, options, lines);
  } catch (...) {
    lines.push_back({failing, check_state::fail, describe_current_exception().failure.text});
  }
  return lines;
}

}  // namespace outboxd::outbox
