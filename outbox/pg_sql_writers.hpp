// See pg_sql.hpp; not for others to include.
#pragma once

#include <string_view>

namespace outboxd::outbox {

// Below which transaction id nobody is left who could still fill a gap that a read before this
// statement has seen. The xmin of a snapshot says the same, but stands still beside any transaction
// that has an id, in whichever database of the cluster, for as long as that is open.
//
// Whoever can fill a gap has drawn the id, and since then holds a lock on the sequence until his
// transaction ends (nextval takes it), prepared ones too. So of those that run now only they count.
// This must be looked at before the snapshot in which the gap is looked into: who has ended by now
// is visible there. It says nothing of a gap that is seen later, which is why the answer stays
// below the id that a read after this may draw as a bound.
//
// pg_locks has the lower 32 bits of an id; no two running ones are 2^31 apart.
inline constexpr std::string_view writers_sql = R"(
WITH held AS MATERIALIZED (
  SELECT l.locktype, l.database, l.relation, l.transactionid, l.virtualtransaction, l.mode
    FROM pg_locks AS l
   WHERE l.granted AND l.locktype IN ('relation', 'transactionid')
), writing AS MATERIALIZED (
  SELECT array_agg(r.virtualtransaction) AS them
    FROM held AS r
   WHERE r.locktype = 'relation' AND r.mode <> 'AccessShareLock'
     AND r.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
     AND r.relation IN (to_regclass('"outbox".messages'), to_regclass('"outbox".messages_id_seq'))
), next AS MATERIALIZED (
  SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid
), running AS (
  SELECT (next.xid - t.transactionid::text::bigint) & 4294967295 AS behind
    FROM next, writing, held AS t
   WHERE t.locktype = 'transactionid' AND t.mode = 'ExclusiveLock'
     AND t.virtualtransaction = ANY (writing.them)
)
SELECT least(next.xid - 1, (SELECT min(next.xid - r.behind) FROM running AS r WHERE r.behind < 2147483648))
  FROM next)";

}  // namespace outboxd::outbox
