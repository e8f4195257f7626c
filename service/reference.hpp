// The pages that `outboxd config --reference NAME` prints: documentation, manual, completions, an
// example. Each is made from the tables that the program itself uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace outboxd::service {

std::vector<std::string> reference_names();

// One of the names above; anything else is a bug.
std::string reference_page(std::string_view name);

}  // namespace outboxd::service
