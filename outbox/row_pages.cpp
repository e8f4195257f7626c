#include "outbox/row_pages.hpp"

#include <utility>

#include "outbox/dead_page.hpp"
#include "outbox/one_session.hpp"

namespace outboxd::outbox {
namespace {

// $1 a time, or null · $2 milliseconds ago. Never in the future: what is sent from now on is not
// meant.
constexpr std::string_view resolve_sql = R"(
SELECT to_char(least(coalesce($1::timestamptz, clock_timestamp() - $2::bigint * interval '1 ms'), clock_timestamp())
                 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))";

// $1 since · $2 until · $3 exchange · $4 routing key · $5 ordering key · $6 type · $7 id · $8 after
// this id · $9 rows · $10 only count
constexpr std::string_view replay_sql = R"(
SELECT r.replayed, r.last_id
  FROM "outbox".replay_where($1::timestamptz, $2::timestamptz, $3::text, $4::text, $5::text, $6::text, $7::bigint,
                             true, $8::bigint, $9::integer, $10::boolean) AS r)";

// $1, $2 milliseconds since it was sent, given up; null: none of these · $3 dead rows with a key
// stay · $4 after this id · $5 rows · $6 only count
constexpr std::string_view purge_sql = R"(
SELECT p.purged, p.last_id
  FROM "outbox".purge_where($1::bigint * interval '1 ms', $2::bigint * interval '1 ms', $3::boolean, $4::bigint,
                            $5::integer, $6::boolean) AS p)";

// $1 milliseconds since it was given up
constexpr std::string_view count_dead_keys_sql = R"(
SELECT count(*) FROM "outbox".messages AS m
 WHERE m.status = 'dead' AND m.ordering_key IS NOT NULL
   AND coalesce(m.due_at, m.created_at) <= now() - $1::bigint * interval '1 ms')";

std::optional<std::int64_t> count_of(const std::optional<std::chrono::milliseconds>& time) {
  if (!time) return std::nullopt;
  return time->count();
}

row_page decode(const pqxx::result& rows) {
  row_page page;
  page.rows = rows[0][0].as<std::size_t>();
  if (!rows[0][1].is_null()) page.last_id = rows[0][1].as<std::int64_t>();
  return page;
}

}  // namespace

class row_pages::impl {
 public:
  explicit impl(const row_page_options& options)
      : schema(options.schema), db(open_session({options.url, {}, options.application_name})) {}

  int version() { return run("version", installed_version_sql)[0][0].as<int>(); }

  template <typename... Args>
  pqxx::result run(const char* name, std::string_view sql, const Args&... args) {
    return db.run(for_schema(name, sql, schema), args...);
  }

  const std::string schema;
  session db;
};

row_pages::row_pages(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
row_pages::row_pages(row_pages&&) noexcept = default;
row_pages& row_pages::operator=(row_pages&&) noexcept = default;
row_pages::~row_pages() = default;

base::result<row_pages> row_pages::open(const row_page_options& options) {
  return guarded<row_pages>([&]() -> base::result<row_pages> {
    auto opened = std::make_unique<impl>(options);
    if (const int found = opened->version(); found < options.version) {
      return base::failure{base::failure_kind::not_ready,
                           "schema " + outbox::quoted(options.schema) + " has version " +
                               std::to_string(found) + ", this needs version " +
                               std::to_string(options.version) + ": run `outboxd migrate`"};
    }
    return row_pages(std::move(opened));
  });
}

base::result<std::string> row_pages::resolve(const point_in_time& when) {
  const auto at = when.at.empty() ? std::nullopt : std::optional(when.at);
  return guarded<std::string>([&]() -> std::string {
    return impl_->run("resolve", resolve_sql, at, when.ago.count())[0][0].c_str();
  });
}

base::result<row_page> row_pages::replay(const sent_row_filter& which, std::int64_t after,
                                         int batch, bool count_only) {
  return guarded<row_page>([&] {
    return decode(impl_->run("replay", replay_sql, which.since, which.until, which.exchange,
                             which.routing_key, which.ordering_key, which.type, which.id, after,
                             batch, count_only));
  });
}

base::result<row_page> row_pages::purge(const old_row_filter& which, std::int64_t after, int batch,
                                        bool count_only) {
  return guarded<row_page>([&] {
    return decode(impl_->run("purge", purge_sql, count_of(which.sent_older_than),
                             count_of(which.dead_older_than), which.keep_dead_keys, after, batch,
                             count_only));
  });
}

base::result<std::size_t> row_pages::count_dead_keys(std::chrono::milliseconds older_than) {
  return guarded<std::size_t>([&] {
    return impl_->run("count_dead_keys", count_dead_keys_sql, older_than.count())[0][0]
        .as<std::size_t>();
  });
}

base::result<row_page> row_pages::dead(const dead_row_filter& which, dead_row_fate what,
                                       std::int64_t after, int batch, bool count_only) {
  return guarded<row_page>(
      [&] { return dead_page(impl_->db, impl_->schema, which, what, after, batch, count_only); });
}

}  // namespace outboxd::outbox
