// What we add to the user's connection string: time limits, so that a vanished server is noticed,
// and the wish for a server that can be written to. What the user says (in the string or through
// libpq's environment variables) wins; client_encoding alone is ours, because bodies are sent byte
// for byte.
#pragma once

#include <string>

namespace outboxd::outbox {

// url: a libpq URI or key/value string; empty means libpq's own PG* variables. Throws
// std::invalid_argument when it cannot be parsed; the text never quotes any part of it.
std::string complete_conninfo(const std::string& url, const std::string& application_name);

}  // namespace outboxd::outbox
