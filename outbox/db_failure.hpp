// What an error of the database means for us. Pure: SQLSTATE in, meaning out (PostgreSQL docs,
// appendix A, "PostgreSQL Error Codes").
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace outboxd::outbox {

struct db_failure {
  base::failure_kind kind = base::failure_kind::rejected;
  bool session_lost = false;  // the session is gone or useless: only a new one can help
};

db_failure classify(std::string_view sqlstate);

// Thrown by a session whose server we cannot work with.
struct unusable_server : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct pooler_in_between : unusable_server {
  using unusable_server::unusable_server;
};

struct wrong_encoding : unusable_server {
  using unusable_server::unusable_server;
};

// Throws wrong_encoding. Elsewhere a text need not be one that can be sent as UTF-8, and the first
// that is none would make every statement that reads it fail, for ever (22021, 22P05).
void expect_utf8(const std::string& server_encoding);

struct caught_failure {
  base::failure failure;
  bool session_lost = false;
};

// The exception in flight, as a value. Call from a catch block.
caught_failure describe_current_exception();

// One line, without the decoration that libpq and the server add.
std::string undecorated(std::string_view text);

}  // namespace outboxd::outbox
