// Which migration comes next, from what the database recorded and the files this binary holds.
// Pure; any thread.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "migrations/embedded.hpp"

namespace outboxd::outbox {

using migration_files = std::span<const migrations::migration>;  // ascending, without gaps

// A row of schema_version.
struct recorded_version {
  int version = 0;
  std::string title, checksum, applied_at, applied_by;
};

enum class migration_status {
  applied,
  pending,
  changed,  // applied, but from a file that differs from ours
  unknown,  // applied by a newer outboxd
};

std::string_view to_string(migration_status s);

migration_status compare(const recorded_version& recorded, migration_files files);

// The lowest file that has not been applied; null when there is none. `rejected` where the history,
// ascending by version, does not fit the files: applied from another file, newer than all of ours,
// or with a hole.
base::result<const migrations::migration*> next_file(const std::vector<recorded_version>& history,
                                                     migration_files files);

// "1 (outbox)"
std::string label(int version, std::string_view title);

// The INSERT into schema_version, written as in the files (see fill_in), and what takes it back
// before `down`: nothing for the first version, which takes the table away.
std::string record_sql(const migrations::migration& m);
std::string forget_sql(const migrations::migration& m);

struct role_file {
  std::string_view name;  // as the file writes it
  std::string_view sql;
};

std::array<role_file, 4> role_files();

}  // namespace outboxd::outbox
