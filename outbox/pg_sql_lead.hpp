// See pg_sql.hpp; not for others to include.
#pragma once

#include <string_view>

namespace outboxd::outbox {

// $1 schema. From the catalogue, because a statement that names a missing table, or one we may not
// see, fails as a whole. Says what exists and which rights the relay lacks.
// Schema version 1 has no pauses.
inline constexpr std::string_view look_around_sql = R"(
SELECT s.oid IS NOT NULL, bool_and(t.oid IS NOT NULL OR needed.name = 'pauses'), current_user,
       array_to_string(array_agg(DISTINCT lacking.what) FILTER (WHERE lacking.what IS NOT NULL), ', ')
  FROM unnest(ARRAY['messages', 'messages', 'messages', 'lead', 'lead', 'schema_version', 'pauses'],
              ARRAY['SELECT', 'UPDATE', 'DELETE', 'SELECT', 'UPDATE', 'SELECT', 'SELECT']) AS needed (name, privilege)
  LEFT JOIN pg_namespace AS s ON s.nspname = $1::text
  LEFT JOIN pg_class AS t ON t.relnamespace = s.oid AND t.relname = needed.name
 CROSS JOIN LATERAL (
   SELECT 'USAGE on the schema' WHERE NOT has_schema_privilege(s.oid, 'USAGE')
    UNION ALL
   SELECT needed.privilege || ' on ' || needed.name WHERE NOT has_table_privilege(t.oid, needed.privilege)
    UNION ALL
   SELECT NULL) AS lacking (what)
 GROUP BY s.oid)";

// The first number of our advisory locks is the oid of the table, so that several outboxes share a
// database. An oid above 2^31 becomes a negative int4; what counts is that it is always the same
// number. Only the form that does not wait: a session that waits for a lock holds a snapshot, and
// keeps vacuum from removing anything for as long as it waits.
inline constexpr std::string_view try_lead_sql = R"(
SELECT pg_try_advisory_lock('"outbox".messages'::regclass::oid::int4, $1::int4),
       (SELECT l.holder FROM "outbox".lead AS l),
       '"outbox".messages'::regclass::oid)";

inline constexpr std::string_view try_lock_sql =
    R"(SELECT pg_try_advisory_lock('"outbox".messages'::regclass::oid::int4, $1::int4))";

// $1 instance. Right after the lock and before anything is decided: from here on the decisions of
// earlier leaders have no effect.
inline constexpr std::string_view take_epoch_sql = R"(
UPDATE "outbox".lead SET epoch = epoch + 1, holder = $1::text, since = now() RETURNING epoch)";

// Keeps idle_session_timeout from ending the session, and tells whether it is the one that took the
// lock, and whether that lock still means anything: the tables of a schema that was dropped and
// made again have other oids. to_regclass() waits for no lock, so a change of the table costs no
// lead; it fails where the right to use the schema is gone.
inline constexpr std::string_view ping_sql =
    R"(SELECT pg_backend_pid(), to_regclass('"outbox".messages')::oid)";

inline constexpr std::string_view unlock_sql =
    R"(SELECT pg_advisory_unlock('"outbox".messages'::regclass::oid::int4, $1::int4))";

}  // namespace outboxd::outbox
