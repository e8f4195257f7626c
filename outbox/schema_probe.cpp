#include "outbox/schema_probe.hpp"

namespace outboxd::outbox {

schema_probe probe_schema(session& db, const lead_statements& sql, const std::string& schema) {
  schema_probe probe;
  const auto found = db.run(sql.look_around, schema)[0];
  probe.role = found[2].c_str();
  if (!found[0].as<bool>() || !found[1].as<bool>()) return probe;
  probe.lacking = found[3].c_str();
  // Without the right to read the version there is none to judge; the grants come first anyway.
  if (probe.lacking.empty()) {
    probe.version = db.run(sql.schema_version)[0][0].as<int>();
    probe.fit = judge_version(probe.version, required_version(), newest_version());
  } else {
    probe.fit = schema_fit::exact;
  }
  return probe;
}

std::string advice(const schema_probe& probe, const std::string& schema) {
  if (!probe.lacking.empty()) {
    return "role " + probe.role + " lacks " + probe.lacking +
           ": run `outboxd migrate` as the owner of the schema, then GRANT outbox_relay TO " +
           outbox::quoted(probe.role);
  }
  switch (probe.fit) {
    case schema_fit::missing:
      return "schema " + outbox::quoted(schema) +
             " is missing or incomplete: run `outboxd migrate`";
    case schema_fit::too_old:
      return "schema " + outbox::quoted(schema) + " has version " + std::to_string(probe.version) +
             ", this outboxd needs " + std::to_string(required_version()) +
             ": run `outboxd migrate`";
    case schema_fit::older:
    case schema_fit::exact:
    case schema_fit::newer:
      break;
  }
  return "";
}

}  // namespace outboxd::outbox
