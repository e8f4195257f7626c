#include "outbox/dead_rows.hpp"

#include <functional>
#include <limits>

#include "outbox/dead_page.hpp"
#include "outbox/one_session.hpp"

namespace outboxd::outbox {
namespace {

constexpr int decided_at_once = 1'000;

// $1 exchange · $2 routing key · $3 ordering key · $4 type · $5 reason · $6 since this time, or ·
// $7 so many milliseconds ago · $8 id; null: any
constexpr std::string_view which_sql = R"(
  m.status = 'dead'
  AND ($1::text IS NULL OR m.exchange = $1::text)
  AND ($2::text IS NULL OR m.routing_key = $2::text)
  AND ($3::text IS NULL OR m.ordering_key = $3::text)
  AND ($4::text IS NULL OR m.type = $4::text)
  AND ($5::text IS NULL OR split_part(m.last_error, ':', 1) = $5::text)
  AND coalesce(m.due_at, m.created_at)
        >= coalesce($6::timestamptz, now() - $7::bigint * interval '1 ms', '-infinity')
  AND ($8::bigint IS NULL OR m.id = $8::bigint))";

// $9 after this id · $10 rows. Lowest ids first, of those without a key and of those with one, as
// the index has them: no page looks at other rows than its own and those the filter leaves out.
std::string page_sql() {
  const auto half = [](const char* with_key) {
    return "(SELECT m.id, m.message_id FROM \"outbox\".messages AS m WHERE " +
           std::string(which_sql) + " AND (m.ordering_key IS NOT NULL) IS " + with_key +
           " AND m.id > $9::bigint ORDER BY m.id LIMIT $10::bigint)";
  };
  return "SELECT h.id, h.message_id FROM (" + half("FALSE") + " UNION ALL " + half("TRUE") +
         ") AS h ORDER BY h.id LIMIT $10::bigint";
}

// Ascending, as every other writer of these rows. OFFSET 0 keeps the calls above the sorting.
statement deciding(const std::string& function, const std::string& schema) {
  return for_schema(function.c_str(),
                    "SELECT count(*) FILTER (WHERE done.it), max(done.id), count(*) FROM (SELECT "
                    "\"outbox\"." +
                        function + "(chosen.id, chosen.message_id) AS it, chosen.id FROM (" +
                        page_sql() + ") AS chosen OFFSET 0) AS done",
                    schema);
}

statement counting(const std::string& schema) {
  return for_schema("count_page",
                    "SELECT count(*), max(chosen.id), count(*) FROM (" + page_sql() + ") AS chosen",
                    schema);
}

constexpr std::string_view row_columns = R"(
  m.id, m.message_id, m.exchange, m.routing_key, m.ordering_key, m.type, m.attempts,
  to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  to_char(coalesce(m.due_at, m.created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  coalesce(m.last_error, ''))";

template <typename Result>
base::result<Result> with_session(const dead_row_options& options,
                                  const std::function<base::result<Result>(session&)>& work) {
  return with_one_session<Result>(
      {options.url, options.schema, options.application_name, options.connected}, work);
}

template <typename... More>
pqxx::result run(session& db, const statement& s, const dead_row_filter& which, More... more) {
  std::optional<std::string> at;
  std::optional<std::int64_t> milliseconds_ago;
  if (which.since && !which.since->at.empty()) at = which.since->at;
  if (which.since && !at) milliseconds_ago = which.since->ago.count();
  return db.run(s, which.exchange, which.routing_key, which.ordering_key, which.type, which.reason,
                at, milliseconds_ago, which.id, more...);
}

dead_row decode(const pqxx::row& r) {
  dead_row row;
  row.id = r[0].as<std::int64_t>();
  row.message_id = r[1].c_str();
  row.exchange = r[2].c_str();
  row.routing_key = r[3].c_str();
  row.ordering_key = text_or_none(r[4]);
  row.type = text_or_none(r[5]);
  row.attempts = r[6].as<int>();
  row.created_at = r[7].c_str();
  row.died_at = r[8].c_str();
  row.last_error = r[9].c_str();
  return row;
}

}  // namespace

base::result<std::vector<dead_row>> list_dead(const dead_row_options& options,
                                              const dead_row_filter& which, std::int64_t after,
                                              std::size_t limit) {
  const auto sql = for_schema("list_dead",
                              "SELECT " + std::string(row_columns) +
                                  " FROM \"outbox\".messages AS m WHERE " + std::string(which_sql) +
                                  " AND m.id > $9::bigint ORDER BY m.id LIMIT $10::bigint",
                              options.schema);
  return with_session<std::vector<dead_row>>(options, [&](session& db) {
    std::vector<dead_row> rows;
    for (const auto& r : run(db, sql, which, after, static_cast<std::int64_t>(limit)))
      rows.push_back(decode(r));
    return base::result<std::vector<dead_row>>(std::move(rows));
  });
}

base::result<std::size_t> count_dead(const dead_row_options& options,
                                     const dead_row_filter& which) {
  const auto sql = for_schema(
      "count_dead", "SELECT count(*) FROM \"outbox\".messages AS m WHERE " + std::string(which_sql),
      options.schema);
  return with_session<std::size_t>(options, [&](session& db) {
    return base::result<std::size_t>(run(db, sql, which)[0][0].as<std::size_t>());
  });
}

base::result<dead_row_in_full> show_dead(const dead_row_options& options, std::int64_t id) {
  const auto sql =
      for_schema("show_dead",
                 "SELECT " + std::string(row_columns) + R"(, m.headers::text, m.content_type,
       coalesce(octet_length(m.payload), octet_length(m.payload_bytes), 0), m.payload IS NOT NULL,
       coalesce(left(m.payload, 4096), encode(substr(m.payload_bytes, 1, 2048), 'hex'), '')
  FROM "outbox".messages AS m WHERE )" +
                     std::string(which_sql),
                 options.schema);
  return with_session<dead_row_in_full>(
      options, [&](session& db) -> base::result<dead_row_in_full> {
        dead_row_filter one;
        one.id = id;
        const auto rows = run(db, sql, one);
        if (rows.empty())
          return base::failure{base::failure_kind::not_ready,
                               "there is no dead row " + std::to_string(id)};
        dead_row_in_full full;
        full.row = decode(rows[0]);
        full.headers = text_or_none(rows[0][10]);
        full.content_type = text_or_none(rows[0][11]);
        full.body_size = rows[0][12].as<std::size_t>();
        full.body_is_text = rows[0][13].as<bool>();
        full.body_beginning = rows[0][14].c_str();
        return full;
      });
}

row_page dead_page(session& db, const std::string& schema, const dead_row_filter& which,
                   dead_row_fate what, std::int64_t after, int batch, bool count_only) {
  const auto sql = count_only
                       ? counting(schema)
                       : deciding(what == dead_row_fate::retry ? "retry" : "discard", schema);
  const auto answer = run(db, sql, which, after, std::int64_t{batch});
  row_page page;
  page.rows = answer[0][0].as<std::size_t>();
  if (answer[0][2].as<int>() == batch) page.last_id = answer[0][1].as<std::int64_t>();
  return page;
}

base::result<std::size_t> decide_dead(const dead_row_options& options, const dead_row_filter& which,
                                      dead_row_fate what) {
  return with_session<std::size_t>(options, [&](session& db) {
    std::size_t decided = 0;
    std::optional<std::int64_t> after = std::numeric_limits<std::int64_t>::min();
    while (after) {
      const auto page = dead_page(db, options.schema, which, what, *after, decided_at_once, false);
      decided += page.rows;
      after = page.last_id;
    }
    return base::result<std::size_t>(decided);
  });
}

}  // namespace outboxd::outbox
