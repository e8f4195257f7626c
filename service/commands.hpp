// Runs a parsed command to its end and answers with the process's exit status. Results go to out,
// complaints to err; `run` also logs to the standard error stream.
#pragma once

#include <iosfwd>

#include "service/cli.hpp"
#include "service/exit_code.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

exit_code execute(const command_line& line, const environment& env, std::ostream& out,
                  std::ostream& err);

}  // namespace outboxd::service
