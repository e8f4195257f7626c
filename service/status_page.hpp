// The page at /: one self-contained HTML document. It is the same for everybody and at all times;
// what it shows it asks for itself. Pure.
#pragma once

#include "service/http_message.hpp"

namespace outboxd::service {

enum class page_role {
  read_only,  // asks /status.json
  admin,      // asks /admin/v1/…, with the token it was given
};

// With its policy: nothing is loaded, and nothing runs but the script inside the page.
http_reply status_page(page_role role);

}  // namespace outboxd::service
