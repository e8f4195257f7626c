// The schema as files for whoever applies migrations with another tool: named and written as that
// tool wants them, each with the row of schema_version by which outboxd knows the version
// afterwards. The same question has the same answer, so that a file that was applied never changes.
// Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "outbox/migration_plan.hpp"
#include "outbox/schema.hpp"

namespace outboxd::outbox {

// The names of the formats: "sql", "flyway", …
const std::vector<std::string>& print_formats();

// Of the roles and what is granted to them, which belongs behind the newest version.
enum class print_roles { with, without, only };

struct print_options {
  schema_names names;
  std::string format = "sql";
  int from = 1;
  std::optional<int> to;  // the newest, unless given
  print_roles roles = print_roles::with;
  // Digits, for tools that number their files: of the first one. Those behind it count on.
  std::string number;
  std::string after;  // alembic: the revision before the first one
};

// Whether files of this format begin with a number of the tool's own.
bool is_numbered(std::string_view format);

struct printed_file {
  std::string name, text;
};

// bad_input where the options make no sense.
base::result<std::vector<printed_file>> print(const print_options& options,
                                              migration_files files = migrations::all());

}  // namespace outboxd::outbox
