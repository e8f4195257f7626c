// `outboxd purge`: deletes rows that were sent, or given up, long ago. Results go to out.
#pragma once

#include <string>

#include "service/one_shot.hpp"

namespace outboxd::service {

exit_code purge(const settings& s, const purge_command& c, const streams& to);

// Pure: the command line that says the same.
std::string as_typed(const purge_command& c);

}  // namespace outboxd::service
