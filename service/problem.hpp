// An error as an API answers it: application/problem+json (RFC 9457). Pure.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "service/http_message.hpp"

namespace outboxd::service {

http_reply problem(unsigned status, std::string_view detail);

// Of a call to the database: 400 for what was asked wrongly, 409 where the database says no, and
// 503 for what the client cannot mend.
http_reply problem(const base::failure& why);

}  // namespace outboxd::service
