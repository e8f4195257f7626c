// What we add to the user's connection string: time limits, so that a vanished server is noticed,
// the wish for a server that can be written to, and, for a server on another host, verified TLS.
// What the user says (in the string or through libpq's environment variables) wins; client_encoding
// alone is ours, because bodies are sent byte for byte.
#pragma once

#include <string>

namespace outboxd::outbox {

// url: a libpq URI or key/value string; empty means libpq's own PG* variables. Throws
// std::invalid_argument when it cannot be parsed; the text never quotes any part of it.
std::string complete_conninfo(const std::string& url, const std::string& application_name);

// The sslmode that lets somebody on the way to a server on another host pass for it, as the user
// chose it; empty: what is completed from this url leaves nobody in between. Throws as above.
std::string unverified_sslmode(const std::string& url);

}  // namespace outboxd::outbox
