// The page at /: one self-contained HTML document. Pure.
#pragma once

#include <string>

#include "service/process_view.hpp"

namespace outboxd::service {

std::string status_page(const process_view& now);

// The value of Content-Security-Policy: nothing but the style sheet inside the page.
std::string status_page_policy();

}  // namespace outboxd::service
