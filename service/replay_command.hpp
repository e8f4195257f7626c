// `outboxd replay`: rows that were sent become due once more. Results go to out.
#pragma once

#include <string>

#include "service/one_shot.hpp"

namespace outboxd::service {

exit_code replay(const settings& s, const replay_command& c, const streams& to);

// Pure: the command line that says the same, for a shell.
std::string as_typed(const replay_command& c);

}  // namespace outboxd::service
