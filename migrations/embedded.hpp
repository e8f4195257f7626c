// The SQL files of this folder, as they were when the binary was built. In them the schema is
// always written "outbox" and the roles "outbox_writer", "outbox_relay", "outbox_operator",
// "outbox_reader", in double quotes; outbox/schema.hpp fills in other names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace outboxd::migrations {

struct migration {
  int version;  // 1, 2, 3, …
  std::string_view title;
  std::string_view up, down;  // each to be run in one transaction
};

// Ascending by version, without gaps.
std::span<const migration> all();

// Creates a role where it is missing, and grants it what it needs from the newest version. May be
// run again at any time.
struct role_files {
  std::string_view writer, relay, operator_, reader;
};

const role_files& roles();

// SHA-256, in lower-case hex, of `up`: what schema_version records.
std::string checksum(const migration& m);

}  // namespace outboxd::migrations
