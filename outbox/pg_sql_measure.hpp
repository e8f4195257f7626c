// See pg_sql.hpp; not for others to include.
#pragma once

#include <string_view>

namespace outboxd::outbox {

// $1 counted exactly up to here · $2, $3 where pending rows are looked for: first and last ids,
// ascending · $4 so many dead rows are asked why. Everything is a bounded scan of a partial index
// or a probe of one.
//
// Beyond the limit: of the pending rows, those above the last one counted, from their ids (what is
// there has hardly been touched yet, so nearly every id is a row); of the others what the last
// vacuum saw.
//
// The oldest row that should be out by now: a pending row since it was written; a scheduled one
// since it came due; one that failed since it was written or first due, not since its next attempt;
// one that is sent again since it became due for that, or failed first. Ids follow time closely
// enough, but for those that are sent again: of the pending ones the first hundred are looked at,
// of the failed ones a thousand.
//
// Why rows are dead stands before the colon of last_error, which their owner may write too: what
// cannot be a reason of ours is another one. The newest are asked, those with a key and those
// without apart, as the index has them.
inline constexpr std::string_view measure_sql = R"(
WITH pending AS (
  SELECT count(*) AS rows, min(p.id) AS first, max(p.id) AS last
    FROM (SELECT found.id
            FROM unnest($2::bigint[], $3::bigint[]) AS range (first, last)
           CROSS JOIN LATERAL (SELECT m.id FROM "outbox".messages AS m
                                WHERE m.status = 'pending' AND m.id BETWEEN range.first AND range.last
                                ORDER BY m.id LIMIT $1::bigint + 1) AS found
           LIMIT $1::bigint + 1) AS p
), deferred AS (
  SELECT count(*) AS rows
    FROM (SELECT FROM "outbox".messages AS m
           WHERE m.status = 'deferred' ORDER BY m.due_at LIMIT $1::bigint + 1) AS d
), dead AS (
  SELECT count(*) AS rows
    FROM (SELECT FROM "outbox".messages AS m
           WHERE m.status = 'dead' ORDER BY m.ordering_key IS NOT NULL, m.id LIMIT $1::bigint + 1) AS d
), vacuumed AS (
  SELECT max(i.reltuples) FILTER (WHERE i.relname = 'messages_due') AS deferred,
         max(i.reltuples) FILTER (WHERE i.relname = 'messages_dead') AS dead
    FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid
   WHERE x.indrelid = '"outbox".messages'::regclass
), oldest AS (
  SELECT least(
    (SELECT min(CASE WHEN first.sent_at IS NULL THEN greatest(first.created_at, first.not_before)
                     ELSE coalesce(first.failing_since, first.due_at, first.created_at) END)
       FROM (SELECT m.created_at, m.not_before, m.sent_at, m.failing_since, m.due_at
               FROM pending, unnest($2::bigint[], $3::bigint[]) AS range (first, last)
              CROSS JOIN LATERAL (SELECT p.* FROM "outbox".messages AS p
                                   WHERE p.status = 'pending' AND p.id >= pending.first
                                     AND p.id BETWEEN range.first AND range.last
                                   ORDER BY p.id LIMIT 100) AS m
              LIMIT 100) AS first),
    (SELECT m.due_at FROM "outbox".messages AS m
      WHERE m.status = 'deferred' AND m.due_at <= now() ORDER BY m.due_at LIMIT 1),
    (SELECT min(CASE WHEN f.sent_at IS NULL THEN greatest(f.created_at, f.not_before)
                     ELSE coalesce(f.failing_since, f.due_at) END)
       FROM (SELECT m.created_at, m.not_before, m.sent_at, m.failing_since, m.due_at FROM "outbox".messages AS m
              WHERE m.status = 'deferred' AND m.attempts > 0 ORDER BY m.id LIMIT 1000) AS f)) AS since
), reasons AS (
  SELECT string_agg(r.reason || '=' || r.rows, ',' ORDER BY r.reason) AS counts
    FROM (SELECT CASE WHEN d.reason ~ '^[a-z_]{1,32}$' THEN d.reason ELSE 'other' END AS reason, count(*) AS rows
            FROM (SELECT split_part(newest.last_error, ':', 1) AS reason
                    FROM ((SELECT m.id, m.last_error FROM "outbox".messages AS m
                            WHERE m.status = 'dead' AND (m.ordering_key IS NOT NULL) IS FALSE
                            ORDER BY m.id DESC LIMIT $4::bigint)
                           UNION ALL
                          (SELECT m.id, m.last_error FROM "outbox".messages AS m
                            WHERE m.status = 'dead' AND (m.ordering_key IS NOT NULL) IS TRUE
                            ORDER BY m.id DESC LIMIT $4::bigint)) AS newest
                   ORDER BY newest.id DESC LIMIT $4::bigint) AS d
           GROUP BY 1) AS r
)
SELECT CASE WHEN pending.rows <= $1::bigint THEN pending.rows
            ELSE pending.rows - pending.last + (SELECT max(m.id) FROM "outbox".messages AS m
                                                 WHERE m.status = 'pending') END,
       CASE WHEN deferred.rows <= $1::bigint THEN deferred.rows
            ELSE greatest(deferred.rows, vacuumed.deferred::bigint) END,
       CASE WHEN dead.rows <= $1::bigint THEN dead.rows
            ELSE greatest(dead.rows, vacuumed.dead::bigint) END,
       (extract(epoch FROM now() - oldest.since) * 1000000)::bigint,
       reasons.counts
  FROM pending, deferred, dead, vacuumed, oldest, reasons)";

}  // namespace outboxd::outbox
