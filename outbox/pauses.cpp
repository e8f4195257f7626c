#include "outbox/pauses.hpp"

#include <functional>

#include "outbox/one_session.hpp"

namespace outboxd::outbox {
namespace {

constexpr std::string_view list_sql = R"(
SELECT p.exchange, p.ordering_key, p.reason, p.paused_by,
       to_char(p.paused_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
       to_char(p.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  FROM "outbox".pauses AS p
 WHERE p.ends_at IS NULL OR p.ends_at > clock_timestamp()
 ORDER BY p.paused_at, p.id)";

// $1 exchange · $2 ordering key · $3 seconds, null: no end · $4 reason
constexpr std::string_view begin_sql =
    R"(SELECT "outbox".pause($1::text, $2::text, $3::bigint * interval '1 second', $4::text))";

// $1 exchange · $2 ordering key
constexpr std::string_view end_sql = R"(SELECT "outbox".resume($1::text, $2::text))";

template <typename Result>
base::result<Result> in_session(const pause_options& options,
                                const std::function<base::result<Result>(session&)>& work) {
  auto done = with_one_session<Result>(
      {options.url, options.schema, options.application_name, options.connected}, work);
  if (!done && done.error().kind == base::failure_kind::not_ready)
    return base::failure{
        done.error().kind,
        done.error().text + ": pauses came with version 2 of the schema, run `outboxd migrate`"};
  return done;
}

}  // namespace

base::result<std::vector<pause>> list_pauses(const pause_options& options) {
  return in_session<std::vector<pause>>(options, [&](session& db) {
    std::vector<pause> all;
    for (const auto& r : db.run(for_schema("list_pauses", list_sql, options.schema))) {
      all.push_back({.scope = {text_or_none(r[0]), text_or_none(r[1])},
                     .reason = r[2].c_str(),
                     .by = r[3].c_str(),
                     .since = r[4].c_str(),
                     .until = text_or_none(r[5])});
    }
    return base::result<std::vector<pause>>(std::move(all));
  });
}

base::result<void> begin_pause(const pause_options& options, const pause_scope& scope,
                               std::optional<std::chrono::seconds> lasting,
                               const std::string& reason) {
  const auto begun = in_session<bool>(options, [&](session& db) {
    const auto seconds = lasting ? std::optional(lasting->count()) : std::nullopt;
    db.run(for_schema("begin_pause", begin_sql, options.schema), scope.exchange, scope.ordering_key,
           seconds, reason);
    return base::result<bool>(true);
  });
  if (!begun) return begun.error();
  return {};
}

base::result<bool> end_pause(const pause_options& options, const pause_scope& scope) {
  return in_session<bool>(options, [&](session& db) {
    const auto ended = db.run(for_schema("end_pause", end_sql, options.schema), scope.exchange,
                              scope.ordering_key);
    return base::result<bool>(ended[0][0].as<bool>());
  });
}

}  // namespace outboxd::outbox
