// What strangers say (a server before it has agreed on an encoding, a broker), fit for JSON.
#pragma once

#include <string>
#include <string_view>

#include "outbox/pg_text.hpp"

namespace outboxd::service {

inline std::string in_utf8(std::string_view text) {
  return outbox::storable_text(text, text.size());
}

}  // namespace outboxd::service
