// The composition root: makes every part from the settings, starts them, and stops them in order.
// One thread runs the io_context; the database lanes have threads of their own.
#pragma once

#include <string>

#include "service/exit_code.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

// Relays until SIGTERM or SIGINT. `loaded` has no errors.
exit_code run(const loaded_settings& loaded, const std::string& instance);

}  // namespace outboxd::service
