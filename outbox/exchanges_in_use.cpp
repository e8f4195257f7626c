#include "outbox/exchanges_in_use.hpp"

#include "outbox/one_session.hpp"
#include "outbox/pg_sql.hpp"

namespace outboxd::outbox {
namespace {

constexpr std::int64_t rows_of_each = 5'000;

// Each kind is an index scan with a LIMIT, in the order of its index. The newest rows of all are
// those that were sent lately, mostly; what waits behind a hold is among the oldest that wait. No
// exchange has a name over 255 bytes, and nobody could be asked about it.
constexpr std::string_view in_use_sql = R"(
SELECT seen.exchange, bool_or(seen.waits)
  FROM ((SELECT n.exchange, n.status <> 'sent' AS waits
           FROM (SELECT m.exchange, m.status FROM "outbox".messages AS m ORDER BY m.id DESC LIMIT $1::bigint) AS n
          WHERE n.status <> 'dead')
         UNION ALL
        (SELECT m.exchange, true FROM "outbox".messages AS m
          WHERE m.status = 'pending' ORDER BY m.id LIMIT $1::bigint)
         UNION ALL
        (SELECT m.exchange, true FROM "outbox".messages AS m
          WHERE m.status = 'pending' ORDER BY m.id DESC LIMIT $1::bigint)
         UNION ALL
        (SELECT m.exchange, true FROM "outbox".messages AS m
          WHERE m.status = 'deferred' AND m.attempts > 0 ORDER BY m.id DESC LIMIT $1::bigint)
         UNION ALL
        (SELECT m.exchange, true FROM "outbox".messages AS m
          WHERE m.status = 'deferred' ORDER BY m.due_at, m.id LIMIT $1::bigint)) AS seen
 WHERE octet_length(seen.exchange) <= 255
 GROUP BY seen.exchange
 ORDER BY 2 DESC, 1)";

}  // namespace

std::string exchanges_in_use_sql(const std::string& schema) {
  return for_schema("exchanges", in_use_sql, schema).sql;
}

base::result<std::vector<exchange_in_use>> exchanges_in_use(const check_options& options) {
  return with_one_session<std::vector<exchange_in_use>>(
      {options.url, options.schema, options.application_name, {}, plan_settings()},
      [&](session& db) {
        std::vector<exchange_in_use> all;
        for (const auto& row :
             db.run({"exchanges", exchanges_in_use_sql(options.schema)}, rows_of_each)) {
          all.push_back({row[0].c_str(), row[1].as<bool>()});
        }
        return base::result<std::vector<exchange_in_use>>(std::move(all));
      });
}

}  // namespace outboxd::outbox
