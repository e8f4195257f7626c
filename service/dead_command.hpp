// `outboxd dead`: what was given up, and what becomes of it. Results go to out.
#pragma once

#include "service/one_shot.hpp"

namespace outboxd::service {

exit_code dead(const settings& s, const dead_command& c, const streams& to);

// Pure; for dead() and its tests.
std::string render(const std::vector<outbox::dead_row>& rows, output_format format);
std::string render(const outbox::dead_row_in_full& row, output_format format);

}  // namespace outboxd::service
