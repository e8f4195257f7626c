#include "outbox/row_pages.hpp"

#include <utility>

#include "outbox/conninfo.hpp"
#include "outbox/db_failure.hpp"
#include "outbox/schema.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {
namespace {

constexpr int version_with_pages = 2;

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

std::optional<std::int64_t> count_of(const std::optional<std::chrono::milliseconds>& time) {
  if (!time) return std::nullopt;
  return time->count();
}

// Exceptions stay on this side.
template <typename T, typename Work>
base::result<T> guarded(Work work) {
  try {
    return work();
  } catch (...) {
    return describe_current_exception().failure;
  }
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
      : schema_(options.schema),
        db_(complete_conninfo(options.url, options.application_name),
            {{"statement_timeout", "60s"}, {"lock_timeout", "5s"}}) {}

  int version() { return db_.run(make("version", installed_version_sql))[0][0].as<int>(); }

  std::string advice(int version) const {
    return "schema " + quoted(schema_) + " has version " + std::to_string(version) +
           ", this needs version " + std::to_string(version_with_pages) + ": run `outboxd migrate`";
  }

  template <typename... Args>
  pqxx::result run(const char* name, std::string_view sql, const Args&... args) {
    return db_.run(make(name, sql), args...);
  }

 private:
  statement make(const char* name, std::string_view sql) const {
    schema_names names;
    names.schema = schema_;
    return {name, fill_in(sql, names)};
  }

  std::string schema_;
  session db_;
};

row_pages::row_pages(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
row_pages::row_pages(row_pages&&) noexcept = default;
row_pages& row_pages::operator=(row_pages&&) noexcept = default;
row_pages::~row_pages() = default;

base::result<row_pages> row_pages::open(const row_page_options& options) {
  return guarded<row_pages>([&]() -> base::result<row_pages> {
    auto opened = std::make_unique<impl>(options);
    if (const int version = opened->version(); version < version_with_pages)
      return base::failure{base::failure_kind::not_ready, opened->advice(version)};
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

}  // namespace outboxd::outbox
