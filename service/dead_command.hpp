// `outboxd dead`: what was given up, and what becomes of it. Results go to out.
#pragma once

#include <string>
#include <vector>

#include "service/one_shot.hpp"

namespace outboxd::service {

exit_code dead(const settings& s, const dead_command& c, const streams& to);

// Pure: the command line that says the same of retry or discard, for a shell.
std::string as_typed(const dead_command& c);

// Pure; for dead() and its tests.
std::string render(const std::vector<outbox::dead_row>& rows, output_format format);
std::string render(const outbox::dead_row_in_full& row, output_format format);

}  // namespace outboxd::service
