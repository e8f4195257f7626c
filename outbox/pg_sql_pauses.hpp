// See pg_sql.hpp; not for others to include.
#pragma once

#include <string_view>

namespace outboxd::outbox {

inline constexpr std::string_view can_pause_sql =
    R"(SELECT to_regclass('"outbox".pauses') IS NOT NULL)";

// An end in infinity is none, and milliseconds are counted for a century: a value that does not fit
// would make this fail for ever, and nothing is published before it has been answered.
inline constexpr std::string_view load_pauses_sql = R"(
SELECT p.exchange, p.ordering_key, p.reason, p.paused_by,
       greatest(0, (date_part('epoch', clock_timestamp() - p.paused_at) * 1000)::bigint),
       CASE WHEN isfinite(p.ends_at)
            THEN ceil(date_part('epoch', least(p.ends_at - clock_timestamp(), interval '100 years')) * 1000)::bigint END
  FROM "outbox".pauses AS p
 WHERE p.ends_at IS NULL OR p.ends_at > clock_timestamp()
 ORDER BY p.id)";

}  // namespace outboxd::outbox
