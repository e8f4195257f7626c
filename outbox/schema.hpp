// The names and numbers that our code and the SQL files share: schema and roles, the notification
// channel, the advisory locks, and what a recorded schema version means. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace outboxd::outbox {

struct role_names {
  std::string writer = "outbox_writer";
  std::string relay = "outbox_relay";
  std::string operator_ = "outbox_operator";
  std::string reader = "outbox_reader";
};

struct schema_names {
  std::string schema = "outbox";
  role_names roles;
};

// A name may have up to 63 bytes (the schema's 55, because the channel carries it) of anything but
// quotes, dollar signs, backslashes and control characters: so it can be quoted by quotes around
// it, also inside a string or a function body. Only then may the functions below be called with it.
base::result<void> validate_schema_name(std::string_view schema);
base::result<void> validate(const schema_names& names);

// "my schema", with its quotes.
std::string quoted(std::string_view validated_name);

// Text of a SQL file, or any statement written like them, with the validated names in place of
// "outbox", "outbox_writer", "outbox_relay", "outbox_operator" and "outbox_reader" (in double
// quotes there).
std::string fill_in(std::string_view sql, const schema_names& names);

// Where the trigger of outbox.messages notifies. Not quoted: a channel is an identifier in LISTEN
// and a string in pg_notify.
std::string wake_channel(std::string_view schema);

// Advisory locks are (table_oid_as_int4, one of these); the keys of `serialize` begin at 1024.
inline constexpr std::string_view messages_oid_as_int4_sql =
    R"('"outbox".messages'::regclass::oid::int4)";
inline constexpr std::int32_t lead_lock = 1;
inline constexpr std::int32_t wake_lock = 2;

// One row, one column: the newest version applied, 0 when none is. Fails with 42P01 (or 3F000)
// where the schema is missing, with 42501 where a grant is.
inline constexpr std::string_view installed_version_sql =
    R"(SELECT coalesce(max(version), 0) FROM "outbox".schema_version)";

// The version this binary was built for, which `outboxd migrate` makes.
int newest_version();
// The oldest one it runs on: schema and processes are updated one after the other.
int required_version();

enum class schema_fit {
  missing,  // nothing there: migrate
  too_old,  // migrate
  older,    // it will do; some verbs want the newest
  exact,
  newer,  // made by a newer outboxd, which keeps the schema usable for the one before it
};

schema_fit judge_version(std::optional<int> installed, int required, int newest);

}  // namespace outboxd::outbox
