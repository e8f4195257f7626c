// What `outboxd check` says about the exchanges that rows name. Pure.
#pragma once

#include <string>
#include <vector>

#include "outbox/exchanges_in_use.hpp"
#include "service/check.hpp"
#include "service/exchange_check.hpp"

namespace outboxd::service {

// All but the default one, which nobody can ask about: it is always there.
std::vector<std::string> names_to_ask_about(const std::vector<outbox::exchange_in_use>& used);

// One line each, the worst first; what is more than 40 is counted in one more.
std::vector<check_line> exchange_lines(const std::vector<outbox::exchange_in_use>& used,
                                       const exchange_answers& answers);

}  // namespace outboxd::service
