// See pg_sql.hpp; not for others to include.
#pragma once

#include <string_view>

namespace outboxd::outbox {

// What both statements say of a message, between their beginning and the source of r.
inline constexpr std::string_view message_columns =
    R"(       r.part, r.id, r.message_id, r.exchange, r.routing_key, r.ordering_key,
       r.body_size, r.headers_size, r.inlined, r.payload IS NULL,
       CASE WHEN r.inlined THEN r.payload END, CASE WHEN r.inlined THEN r.payload_bytes END,
       CASE WHEN r.inlined THEN r.headers_text END,
       r.content_type, r.content_encoding, r.type, r.correlation_id, r.reply_to, r.app_id,
       CASE WHEN r.priority BETWEEN 0 AND 255 THEN r.priority END, r.expiration_ms, r.mandatory,
       (date_part('epoch', r.created_at) * 1000000)::bigint, r.attempts,
       (date_part('epoch', r.failing_since) * 1000000)::bigint, r.status = 'deferred',
       CASE WHEN r.sent_at IS NOT NULL
            THEN (date_part('epoch', coalesce(r.failing_since, r.due_at, r.created_at)) * 1000000)::bigint END
)";

// The statement `read` of pg_sql.cpp, where no gap is open, nothing was skipped and no time is too
// far away: which is nearly always so when a row comes alone. Most of what the whole statement
// costs then is to set up the parts that it does not need, several times what this one costs in
// all. The answer has the same columns, and the reasons for what both say stand there: whoever
// changes one looks at the other.
//
// $1 frontier · $2 limit · $3 limit of due rows · $4 largest inline body and headers
//
// The first row tells of the moment, the others are messages; a part is in the order of its scan.
// Before a lone row that has the next id none is missing, and no transaction id is drawn. Entries
// of rows that were sent and that an old snapshot keeps above the frontier are passed once, by
// `next`.
inline constexpr std::string_view read_new_sql = R"(
WITH next AS MATERIALIZED (
  SELECT min(n.id) AS first, max(n.id) AS last
    FROM (SELECT m.id FROM "outbox".messages AS m
           WHERE m.status = 'pending' AND m.id > $1::bigint ORDER BY m.id LIMIT 2) AS n
), picked AS (
  (SELECT 0 AS part, m.* FROM "outbox".messages AS m
    WHERE m.status = 'pending' AND m.id >= (SELECT next.first FROM next)
    ORDER BY m.id LIMIT $2::bigint)
   UNION ALL
  (SELECT 1, m.* FROM "outbox".messages AS m
    WHERE m.status = 'deferred' AND m.due_at <= now()
    ORDER BY m.due_at, m.id LIMIT $3::bigint)
)
SELECT (SELECT l.epoch FROM "outbox".lead AS l WHERE l.the_only_row),
       pg_snapshot_xmin(pg_current_snapshot()),
       CASE WHEN next.last > $1::bigint + 1 THEN pg_current_xact_id()
            ELSE pg_snapshot_xmax(pg_current_snapshot()) END,
       (SELECT (extract(epoch FROM least(m.due_at, now() + interval '1 year') - now()) * 1000)::bigint
          FROM "outbox".messages AS m
         WHERE m.status = 'deferred' AND m.due_at > now()
         ORDER BY m.due_at LIMIT 1),
       0::bigint,
       (date_part('epoch', now()) * 1000000)::bigint,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM next
 UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL,
)";
inline constexpr std::string_view read_new_source_sql =
    R"(  FROM (SELECT s.*, coalesce(octet_length(s.headers_text), 0) AS headers_size,
               s.body_size + coalesce(octet_length(s.headers_text), 0) <= $4::bigint AS inlined
          FROM (SELECT p.*, p.headers::text AS headers_text,
                       coalesce(octet_length(p.payload), octet_length(p.payload_bytes), 0) AS body_size
                  FROM picked AS p OFFSET 0) AS s) AS r)";

}  // namespace outboxd::outbox
