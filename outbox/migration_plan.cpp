#include "outbox/migration_plan.hpp"

#include <algorithm>

namespace outboxd::outbox {

namespace {

base::failure refuse(std::string why) {
  return {base::failure_kind::rejected, std::move(why)};
}

}  // namespace

std::string_view to_string(migration_status s) {
  switch (s) {
    case migration_status::applied:
      return "applied";
    case migration_status::pending:
      return "pending";
    case migration_status::changed:
      return "changed";
    case migration_status::unknown:
      return "unknown";
  }
  return "?";
}

migration_status compare(const recorded_version& recorded, migration_files files) {
  const auto file = std::ranges::find(files, recorded.version, &migrations::migration::version);
  if (file == files.end()) return migration_status::unknown;
  return migrations::checksum(*file) == recorded.checksum ? migration_status::applied
                                                          : migration_status::changed;
}

base::result<const migrations::migration*> next_file(const std::vector<recorded_version>& history,
                                                     migration_files files) {
  for (const auto& h : history) {
    const auto status = compare(h, files);
    if (status == migration_status::unknown) {
      return refuse("the schema is at version " + label(h.version, h.title) +
                    ", this outboxd knows versions up to " + std::to_string(files.back().version) +
                    ": use a newer outboxd");
    }
    if (status == migration_status::changed) {
      return refuse(
          "version " + label(h.version, h.title) +
          " was applied from a file that differs from the one in this outboxd (checksum " +
          h.checksum + "): use the outboxd that applied it, or mend schema_version");
    }
  }
  const auto is_recorded = [&](const migrations::migration& m) {
    return std::ranges::find(history, m.version, &recorded_version::version) != history.end();
  };
  const auto next = std::ranges::find_if_not(files, is_recorded);
  if (next == files.end()) return nullptr;
  if (!history.empty() && history.back().version > next->version) {
    return refuse("version " + label(next->version, next->title) +
                  " is missing although a later one was applied");
  }
  return &*next;
}

std::string label(int version, std::string_view title) {
  return std::to_string(version) + " (" + std::string(title) + ")";
}

// Title and checksum are of letters, digits and underscores only.
std::string record_sql(const migrations::migration& m) {
  return R"(INSERT INTO "outbox".schema_version (version, title, checksum) VALUES ()" +
         std::to_string(m.version) + ", '" + std::string(m.title) + "', '" +
         migrations::checksum(m) + "');\n";
}

std::string forget_sql(const migrations::migration& m) {
  if (m.version == 1) return "";
  return R"(DELETE FROM "outbox".schema_version WHERE version = )" + std::to_string(m.version) +
         ";\n";
}

std::array<role_file, 4> role_files() {
  const auto& r = migrations::roles();
  return {{{R"("outbox_writer")", r.writer},
           {R"("outbox_relay")", r.relay},
           {R"("outbox_operator")", r.operator_},
           {R"("outbox_reader")", r.reader}}};
}

}  // namespace outboxd::outbox
