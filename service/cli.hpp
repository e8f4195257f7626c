// The command line as a value: argv goes in, one alternative of `command` comes out. Prints and
// runs nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "outbox/dead_rows.hpp"
#include "outbox/migration_print.hpp"
#include "outbox/pause.hpp"
#include "outbox/row_pages.hpp"
#include "service/cli_tree.hpp"
#include "service/exit_code.hpp"
#include "service/settings_text.hpp"

namespace outboxd::service {

struct run_command {};
struct migrate_command {
  enum class action { up, status, print } what = action::up;
  outbox::print_options print;  // but for the names, which are settings
  std::string directory;        // of print; empty: standard output
};
struct check_command {};
struct config_command {
  std::string reference;  // not empty: print that page (service/reference.hpp)
};
struct healthcheck_command {
  bool ready = false;
  std::chrono::milliseconds limit{2'000};
};
struct status_command {
  bool watch = false;
  std::size_t count = 0;  // of looks with watch; 0: until it is interrupted
};
struct dead_command {
  enum class action { list, show, retry, discard } what = action::list;
  outbox::dead_row_filter which;
  std::size_t limit = 100;  // of list
  bool all = false, dry_run = false;
};
struct pause_command {
  enum class action { pause, resume, list } what = action::pause;
  outbox::pause_scope scope;
  std::optional<std::chrono::seconds> lasting;  // none: until it is resumed
  std::string reason;
};
struct replay_command {
  std::optional<outbox::point_in_time> since;
  outbox::point_in_time until;    // now, unless told otherwise
  outbox::sent_row_filter which;  // its times come from these two, by the database's clock
  std::uint64_t rate = 1'000;     // rows a second; 0: no limit
  bool all = false, dry_run = false;
};
struct purge_command {
  // At least one: what the sidecar keeps its settings know, and not those of this shell.
  std::optional<std::chrono::milliseconds> sent_older_than, dead_older_than;
  bool with_keys = false;       // also dead rows that may hold their key
  std::uint64_t rate = 10'000;  // rows a second; 0: no limit
  bool dry_run = false;
};
struct version_command {};
// Nothing to run: help was asked for, or the line was wrong.
struct answer_command {
  exit_code code = exit_code::done;
  std::string text;  // when done for stdout, as it is; else a sentence for stderr
};

using command = std::variant<run_command, migrate_command, check_command, config_command,
                             healthcheck_command, status_command, dead_command, pause_command,
                             replay_command, purge_command, version_command, answer_command>;

struct command_line {
  command what;
  output_format format = output_format::table;
};

// Without the program's name.
command_line parse_command_line(std::vector<std::string> arguments);

// What parse_command_line understands.
cli_verb command_tree();

}  // namespace outboxd::service
