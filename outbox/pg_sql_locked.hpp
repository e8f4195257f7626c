// See pg_sql.hpp; not for others to include.
#pragma once

#include <string_view>

namespace outboxd::outbox {

// $1 ids. Which of these rows somebody else's transaction holds: the others could be locked, and
// are free again with the end of this statement, so that whoever writes afterwards hardly ever
// waits. Asked only after a lock was met: the statements on the hot path stay as they are. One that
// has left the table meanwhile may be named too. Nothing here is worth waiting for the disk.
inline constexpr std::string_view locked_sql = R"(
WITH free AS MATERIALIZED (
  SELECT m.id
    FROM "outbox".messages AS m
   WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off' AND m.id = ANY ($1::bigint[])
     FOR UPDATE SKIP LOCKED
)
SELECT m.id
  FROM "outbox".messages AS m
 WHERE m.id = ANY ($1::bigint[]) AND m.id NOT IN (SELECT f.id FROM free AS f))";

}  // namespace outboxd::outbox
