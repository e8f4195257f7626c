// `outboxd check`: settings, database, schema, grants, broker and exchanges, one line each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "outbox/pg_check.hpp"
#include "service/exit_code.hpp"
#include "service/settings.hpp"
#include "service/settings_text.hpp"

namespace outboxd::service {

using outbox::check_state;

struct check_line {
  std::string what;
  check_state state = check_state::ok;
  std::string text;
  std::optional<base::failure_kind> why{};  // of a failure: decides the exit status
};

// Blocks: connects to the database and to every node of the broker.
std::vector<check_line> run_checks(const settings& s);

// Pure.
std::string render_checks(const std::vector<check_line>& lines, output_format format);
exit_code judge(const std::vector<check_line>& lines);  // that of the first failure

exit_code to_exit_code(base::failure_kind kind);

}  // namespace outboxd::service
