// The verbs that do one thing and end: migrate, check, healthcheck. They block; results go to out.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.hpp"
#include "service/cli.hpp"
#include "service/exit_code.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

struct streams {
  std::ostream& out;
  std::ostream& err;
  output_format format = output_format::table;
};

// Says so on err, and as JSON also on out: {"error": "…"}.
void complain(const std::string& why, const streams& to);

// Complains, and answers with the exit status it means.
exit_code fail(const base::failure& why, const streams& to);

exit_code migrate(const settings& s, const migrate_command& how, const streams& to);
exit_code check(const settings& s, const streams& to);
exit_code healthcheck(const settings& s, const healthcheck_command& how, const streams& to);

}  // namespace outboxd::service
