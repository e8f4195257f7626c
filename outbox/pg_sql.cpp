#include "outbox/pg_sql.hpp"

#include <string_view>

#include "outbox/pg_sql_lead.hpp"
#include "outbox/pg_sql_locked.hpp"
#include "outbox/pg_sql_measure.hpp"
#include "outbox/pg_sql_pauses.hpp"
#include "outbox/pg_sql_read_new.hpp"
#include "outbox/pg_sql_writers.hpp"
#include "outbox/schema.hpp"

namespace outboxd::outbox {
namespace {

// The statements say "outbox" in double quotes for the schema, like the migrations; schema.hpp
// fills it in.

// $1 frontier · $2, $3 gaps: first and last ids · $4 limit of both together
// the scan: $5 after this id (null: none is wanted) · $6 rows · $7 rows visited · $8 keys ·
//   $9 exchanges that are left out · $10, $11 exchanges and routing keys that are left out
// $12 limit of due rows
// $13 farthest due_at of a scheduled row (milliseconds from now), 0: no limit
// $14 largest inline body and headers
// $15 the scan goes no further than this id · $16 nor do frontier and gaps than this
//
// One statement, because its parts must come from one snapshot: with two, a later row of a key
// could overtake an earlier one whose transaction commits in between. The first row of the answer
// tells of that moment, the others are messages: the parts one after the other, each as its scan
// yields it. Nothing sorts, counts or stores them on the way, which would copy every body and cost
// more than the rest.
//
// The snapshot tells which gaps nobody can fill any more. Its own xmax is one past the last
// transaction that has *ended*: one that is running now may have that id, or a higher one, and fill
// a gap later. So where there are new rows, and ids between them may be missing, we draw a
// transaction id of our own, younger than that of anybody who holds one of them: once the xmin of a
// later snapshot has come so far, they have all ended. Where nothing is new none is drawn: an idle
// relay uses up no transaction ids.
//
// Each part is an index scan in the order it wants, with a LIMIT: status = '…' as a constant is
// what lets the planner use a partial index from a prepared statement. Nothing below the frontier
// is visited but open gaps and what the scan may look at.
//
// The scan counts the rows it looks at before it judges them, so that its cost is bounded however
// few of them are wanted. IN (SELECT …) is a hash table made once, where = ANY would compare each
// row with each key. A row is looked at where it lies: a large body lies elsewhere and is not read.
// Where the scan ended: behind the last row that came back, if there was no room for more; else
// behind the last one visited, which the index alone tells; else at the frontier.
//
// Rows due are taken with the lowest id first among those of one instant: rows of one key scheduled
// for the same time keep their order, also when the limit cuts through them.
//
// Of the rows that are due last some may have failed: they are counted before they are judged, like
// those of the scan.
//
// MATERIALIZED: what is said once is also made once, and not anew for each row. OFFSET 0 does the
// same for the text of the headers, which is both measured and sent.
//
// octet_length() takes the size of a body from the header of the stored value without reading it,
// and the CASE keeps what does not fit out of the answer: the server never reads those bodies.
// Headers have no length but that of their text; they are 64 kB at most.
//
// date_part() is exact to the microsecond for some centuries to come; extract() computes with
// numerics, at several times the price.
constexpr std::string_view read_sql = R"(
WITH scanned AS MATERIALIZED (
  SELECT v.*
    FROM (SELECT m.* FROM "outbox".messages AS m
           WHERE m.status = 'pending' AND m.id > $5::bigint AND m.id <= least($1::bigint, $15::bigint)
           ORDER BY m.id LIMIT $7::bigint) AS v
   WHERE CASE WHEN cardinality($8::text[]) > 0
              THEN (v.ordering_key IN (SELECT unnest($8::text[]))) IS TRUE
              ELSE v.ordering_key IS NOT NULL
                OR NOT (v.exchange IN (SELECT unnest($9::text[]))
                     OR (v.exchange, v.routing_key) IN (SELECT * FROM unnest($10::text[], $11::text[])))
         END
   ORDER BY v.id LIMIT $6::bigint
), moment AS MATERIALIZED (
  SELECT (SELECT l.epoch FROM "outbox".lead AS l WHERE l.the_only_row) AS epoch,
         pg_snapshot_xmin(pg_current_snapshot()) AS xmin,
         CASE WHEN EXISTS (SELECT FROM "outbox".messages AS m WHERE m.status = 'pending' AND m.id > $1::bigint
                               AND m.id <= $16::bigint)
              THEN pg_current_xact_id()
              ELSE pg_snapshot_xmax(pg_current_snapshot()) END AS next_xid,
         -- A distance to infinity is an error, and one odd row must not stop the others.
         (SELECT (extract(epoch FROM least(m.due_at, now() + interval '1 year') - now()) * 1000)::bigint
            FROM "outbox".messages AS m
           WHERE m.status = 'deferred' AND m.due_at > now()
           ORDER BY m.due_at LIMIT 1) AS next_due_ms,
         CASE WHEN $5::bigint IS NULL THEN 0
              WHEN (SELECT count(*) FROM scanned) = $6::bigint THEN (SELECT max(s.id) FROM scanned AS s)
              ELSE coalesce((SELECT m.id FROM "outbox".messages AS m
                              WHERE m.status = 'pending' AND m.id > $5::bigint
                                AND m.id <= least($1::bigint, $15::bigint)
                              ORDER BY m.id OFFSET $7::bigint - 1 LIMIT 1), least($1::bigint, $15::bigint))
         END AS below_to,
         (date_part('epoch', now()) * 1000000)::bigint AS now_us
), picked AS (
  SELECT 0 AS part, o.*
    FROM (SELECT g.*
            FROM unnest($2::bigint[], $3::bigint[]) AS gap (first, last)
           CROSS JOIN LATERAL (SELECT m.* FROM "outbox".messages AS m
                                WHERE m.status = 'pending' AND m.id BETWEEN gap.first AND gap.last
                                ORDER BY m.id LIMIT $4::bigint) AS g
           UNION ALL
          (SELECT m.* FROM "outbox".messages AS m
            WHERE m.status = 'pending' AND m.id > $1::bigint AND m.id <= $16::bigint
            ORDER BY m.id LIMIT $4::bigint)
           ORDER BY id LIMIT $4::bigint) AS o
   UNION ALL
  SELECT 1, d.*
    FROM (SELECT m.* FROM "outbox".messages AS m
           WHERE m.status = 'deferred' AND m.due_at <= now()
           ORDER BY m.due_at, m.id LIMIT $12::bigint) AS d
   UNION ALL
  SELECT 2, s.* FROM scanned AS s
   UNION ALL
  SELECT 3, l.*
    FROM (SELECT v.*
            FROM (SELECT m.* FROM "outbox".messages AS m
                   WHERE m.status = 'deferred' AND m.due_at > now() + $13::bigint * interval '1 ms'
                   ORDER BY m.due_at DESC, m.id DESC LIMIT CASE WHEN $13::bigint > 0 THEN 1000 ELSE 0 END) AS v
           WHERE v.attempts = 0
           ORDER BY v.due_at DESC, v.id DESC LIMIT 100) AS l
)
SELECT moment.epoch, moment.xmin, moment.next_xid, moment.next_due_ms, moment.below_to, moment.now_us,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM moment
 UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL,
)";
constexpr std::string_view read_source_sql =
    R"(  FROM (SELECT s.*, coalesce(octet_length(s.headers_text), 0) AS headers_size,
               s.part < 3 AND s.body_size + coalesce(octet_length(s.headers_text), 0) <= $14::bigint AS inlined
          FROM (SELECT p.*, p.headers::text AS headers_text,
                       coalesce(octet_length(p.payload), octet_length(p.payload_bytes), 0) AS body_size
                  FROM picked AS p OFFSET 0) AS s) AS r)";

// $1, $2 ids and message_ids, in the order of the answer. What was settled or given up meanwhile
// needs no body any more. OFFSET 0: one look into the primary key for each, see mark_sent_sql.
constexpr std::string_view load_bodies_sql = R"(
SELECT b.*
  FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY AS wanted (id, message_id, position)
 CROSS JOIN LATERAL (SELECT m.id, m.message_id, m.payload, m.payload_bytes, m.headers FROM "outbox".messages AS m
                      WHERE m.id = wanted.id AND m.message_id = wanted.message_id AND m.status IN ('pending', 'deferred')
                     OFFSET 0) AS b
 ORDER BY wanted.position)";

// $1 after this id · $2 dead ones too? · $3 limit. The conditions are those of the indexes
// messages_failed and messages_dead: a million scheduled rows, or dead ones without a key, are not
// visited. Each branch has the limit of its own, so that the page is as long as what it visits.
constexpr std::string_view load_failed_sql = R"(
SELECT f.*
  FROM ((SELECT m.id, m.message_id, false AS dead, m.exchange, m.routing_key, m.ordering_key
           FROM "outbox".messages AS m
          WHERE m.status = 'deferred' AND m.attempts > 0 AND m.id > $1::bigint
          ORDER BY m.id LIMIT $3::bigint)
         UNION ALL
        (SELECT m.id, m.message_id, true, m.exchange, m.routing_key, m.ordering_key
           FROM "outbox".messages AS m
          WHERE m.status = 'dead' AND m.ordering_key IS NOT NULL AND m.id > $1::bigint
          ORDER BY m.id LIMIT CASE WHEN $2::boolean THEN $3::bigint ELSE 0 END)) AS f
 ORDER BY f.id
 LIMIT $3::bigint)";

// $1, $2 ids and message_ids, ascending: two statements that lock the same rows then do so in one
// order.
//
// A fact, so it asks for nobody's lead. By id and message_id: a crashed database can hand out an id
// again, and the old row's acknowledgement must not settle the new row.
// Ids are looked up in the primary key, rows in a hash table of the pairs (IS TRUE: no join is made
// of it). Planned as a join while the table is known to be empty, each row of it would later be
// compared with each of the arrays: half a minute for a burst of some ten thousand rows.
// synchronous_commit = off for this transaction only, inside the statement: no second round trip. A
// mark lost in a crash of the database costs a duplicate, which is promised to be possible; waiting
// for the disk would cost every row. (The condition is evaluated once, before any row.)
constexpr std::string_view mark_sent_sql = R"(
UPDATE "outbox".messages AS m
   SET status = 'sent', sent_at = now()
 WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
   AND m.id = ANY ($1::bigint[]) AND m.status IN ('pending', 'deferred')
   AND ((m.id, m.message_id) IN (SELECT * FROM unnest($1::bigint[], $2::uuid[]))) IS TRUE)";

// The same where nothing is kept.
constexpr std::string_view delete_sent_sql = R"(
DELETE FROM "outbox".messages AS m
 WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
   AND m.id = ANY ($1::bigint[]) AND m.status IN ('pending', 'deferred')
   AND ((m.id, m.message_id) IN (SELECT * FROM unnest($1::bigint[], $2::uuid[]))) IS TRUE)";

// $1 epoch · $2, $3 ids and message_ids, ascending · $4 attempts so far · $5 status · $6 retry in
// milliseconds · $7 last_error
//
// The share lock on the row of the lead is the fence: whoever takes the lead changes that row, so
// either we see the new epoch and change nothing, or the new leader waits until our decision is
// visible to it.
//
// A row with more attempts than the decision knows of has changed since, and is left alone; unless
// it looks as this very decision leaves it. Then its first try was carried out, though the answer
// was lost: it is written as it is, which answers with it, and waits if that first try is still
// under way. All but due_at comes out the same by itself.
//
// Commits synchronously, unlike the marks: once a dead row is out of the way, later rows of its key
// are published. If a crash then forgot the decision, the row would be sent after them, out of
// order. Decisions are rare. Where the server, the database or the role says `off`, it is `on` for
// this transaction; what is stricter, or waits for the disk here and for no stand-by, stays.
constexpr std::string_view decide_sql = R"(
WITH fence AS MATERIALIZED (
  SELECT l.epoch FROM "outbox".lead AS l WHERE l.epoch = $1::bigint FOR SHARE
)
UPDATE "outbox".messages AS m
   SET status = decided.status,
       attempts = decided.attempts + decided.failures,
       failing_since = CASE WHEN decided.failures > 0 THEN coalesce(m.failing_since, now()) ELSE m.failing_since END,
       -- Of a dead row: when it was given up; its retention counts from there. Of one that was sent before: since
       -- when it should be out once more.
       due_at = CASE WHEN decided.status = 'pending' THEN CASE WHEN m.sent_at IS NOT NULL THEN m.due_at END
                     WHEN m.attempts > decided.attempts THEN m.due_at
                     WHEN decided.status = 'dead' THEN now()
                     ELSE now() + decided.retry_in * interval '1 ms' END,
       last_error = CASE WHEN decided.failures > 0 THEN decided.last_error ELSE m.last_error END
  FROM (SELECT d.*, CASE WHEN d.status = 'pending' THEN 0 ELSE 1 END AS failures
          FROM unnest($2::bigint[], $3::uuid[], $4::integer[], $5::text[], $6::bigint[], $7::text[])
                 AS d (id, message_id, attempts, status, retry_in, last_error)) AS decided
 WHERE EXISTS (SELECT FROM fence)
   AND (SELECT CASE current_setting('synchronous_commit')
               WHEN 'off' THEN set_config('synchronous_commit', 'on', true) ELSE 'as it is' END) <> 'off'
   AND m.id = ANY ($2::bigint[]) AND m.id = decided.id AND m.message_id = decided.message_id
   AND (m.status IN ('pending', 'deferred') AND m.attempts = decided.attempts
        OR decided.failures > 0 AND m.status = decided.status AND m.attempts = decided.attempts + 1
           AND m.last_error = decided.last_error)
RETURNING m.id, m.message_id)";

// $1 start after this id · $2 rows to look at · $3, $4 keep sent and dead rows this long
// (milliseconds) · $5 true: dead rows with an ordering key stay
//
// By ranges of the primary key, from where the last call ended (purge_pass.hpp): rows leave the
// table about in the order of their ids, and no index on sent_at has to be paid for by every row.
// What is created later than the limit cannot be old enough: such rows say that the end has come.
// Not rows that were sent lately: after a hold, or when they are sent again, there may be pages of
// them before older ones. The conditions stand twice because an operator may revive a dead row
// between the two. Like the marks, this does not wait for the disk: what a crash brings back is
// purged again.
constexpr std::string_view purge_sql = R"(
WITH page AS (
  SELECT m.id, m.status,
         CASE m.status WHEN 'sent' THEN m.sent_at < now() - $3::bigint * interval '1 ms'
                       WHEN 'dead' THEN coalesce(m.due_at, m.created_at) < now() - $4::bigint * interval '1 ms'
                                        AND NOT ($5::boolean AND m.ordering_key IS NOT NULL)
                       ELSE false END AS old,
         m.created_at > now() - least($3::bigint, $4::bigint) * interval '1 ms' AS young
    FROM "outbox".messages AS m
   WHERE m.id > $1::bigint
   ORDER BY m.id LIMIT $2::bigint
), gone AS (
  DELETE FROM "outbox".messages AS m
   USING page
   WHERE (SELECT set_config('synchronous_commit', 'off', true)) = 'off'
     AND page.old AND m.id = page.id AND m.status = page.status
  RETURNING m.id
)
SELECT (SELECT count(*) FROM gone), count(*), coalesce(max(page.id), 0),
       min(page.id) FILTER (WHERE page.id NOT IN (SELECT g.id FROM gone AS g)),
       count(*) FILTER (WHERE page.young)
  FROM page)";

std::string joined(std::string_view beginning, std::string_view columns, std::string_view source) {
  return std::string(beginning).append(columns).append(source);
}

statement make(const char* name, std::string_view sql, const std::string& schema) {
  schema_names names;
  names.schema = schema;
  return {name, fill_in(sql, names)};
}

}  // namespace

store_statements::store_statements(const std::string& schema)
    : read(make("read", joined(read_sql, message_columns, read_source_sql), schema)),
      read_new(
          make("read_new", joined(read_new_sql, message_columns, read_new_source_sql), schema)),
      last_drawn(make("last_drawn", R"(SELECT last_value FROM "outbox".messages_id_seq)", schema)),
      draw_xid(make("draw_xid", "SELECT pg_current_xact_id()", schema)),
      writers(make("writers", writers_sql, schema)),
      load_bodies(make("load_bodies", load_bodies_sql, schema)),
      load_failed(make("load_failed", load_failed_sql, schema)),
      can_pause(make("can_pause", can_pause_sql, schema)),
      load_pauses(make("load_pauses", load_pauses_sql, schema)),
      locked(make("locked", locked_sql, schema)),
      mark_sent(make("mark_sent", mark_sent_sql, schema)),
      delete_sent(make("delete_sent", delete_sent_sql, schema)),
      decide(make("decide", decide_sql, schema)),
      measure(make("measure", measure_sql, schema)),
      purge(make("purge", purge_sql, schema)) {}

lead_statements::lead_statements(const std::string& schema)
    : look_around(make("look_around", look_around_sql, schema)),
      schema_version(make("schema_version", installed_version_sql, schema)),
      try_lead(make("try_lead", try_lead_sql, schema)),
      try_lock(make("try_lock", try_lock_sql, schema)),
      unlock(make("unlock", unlock_sql, schema)),
      take_epoch(make("take_epoch", take_epoch_sql, schema)),
      ping(make("ping", ping_sql, schema)) {}

// A queue's statistics are always wrong: it is empty when it is analysed and full a second later,
// or the other way round. So nothing is left to them:
// - no sequential or bitmap scan: each of our statements has an index that gives its order;
// - no hash or merge join: they read a whole table to find a few rows, and lock them in any order;
// - pages cost nothing, so that the plan that visits the fewest rows wins: a partial index that has
//   been large keeps many empty pages, and for a range of ids the planner would then rather walk
//   the primary key, through every row that was sent;
// - one generic plan: it does not depend on the values, and is not made again for each call;
// - no parallel workers: starting them takes longer than the statement.
session_settings plan_settings() {
  return {{"enable_seqscan", "off"},
          {"enable_bitmapscan", "off"},
          {"enable_hashjoin", "off"},
          {"enable_mergejoin", "off"},
          {"seq_page_cost", "0"},
          {"random_page_cost", "0"},
          {"plan_cache_mode", "force_generic_plan"},
          {"max_parallel_workers_per_gather", "0"}};
}

}  // namespace outboxd::outbox
