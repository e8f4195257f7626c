// Long lists of parameters in PostgreSQL's binary format, which costs the server a third of what
// reading their text would. Pure.
#pragma once

#include <string>
#include <vector>

#include "outbox/message.hpp"

namespace outboxd::outbox {

// Goes to the server as it is; the statement says of which type it is.
struct binary_parameter {
  std::string bytes;
};

binary_parameter ids_of(const std::vector<row_ref>& rows);          // bigint[]
binary_parameter message_ids_of(const std::vector<row_ref>& rows);  // uuid[]

}  // namespace outboxd::outbox
