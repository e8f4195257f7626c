// `outboxd pause` and `outboxd resume`.
#pragma once

#include "service/cli.hpp"
#include "service/one_shot.hpp"

namespace outboxd::service {

exit_code pause(const settings& s, const pause_command& c, const streams& to);

}  // namespace outboxd::service
