// What was built. The only translation unit that changes with every commit.
#pragma once

#include <string_view>

namespace outboxd::service {

std::string_view version();   // 0.1.0
std::string_view revision();  // the abbreviated commit; "unknown" outside a repository

}  // namespace outboxd::service
