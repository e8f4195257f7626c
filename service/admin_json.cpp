#include "service/admin_json.hpp"

#include "service/units.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;

json::value or_null(const std::optional<std::string>& text) {
  return text ? json::value(*text) : json::value(nullptr);
}

void add(json::object& to, std::string_view name, const std::optional<std::string>& text) {
  if (text) to[name] = *text;
}

}  // namespace

json::object as_json(const outbox::dead_row& row) {
  return {{"id", row.id},
          {"message_id", row.message_id},
          {"exchange", row.exchange},
          {"routing_key", row.routing_key},
          {"ordering_key", or_null(row.ordering_key)},
          {"type", or_null(row.type)},
          {"attempts", row.attempts},
          {"created_at", row.created_at},
          {"died_at", row.died_at},
          {"last_error", row.last_error}};
}

json::object as_json(const outbox::dead_row_in_full& full) {
  json::object all = as_json(full.row);
  all["headers"] = or_null(full.headers);
  all["content_type"] = or_null(full.content_type);
  all["body_size"] = full.body_size;
  all[full.body_is_text ? "body_beginning" : "body_beginning_hex"] = full.body_beginning;
  return all;
}

json::object as_json(const outbox::pause& p) {
  return {{"exchange", or_null(p.scope.exchange)},
          {"ordering_key", or_null(p.scope.ordering_key)},
          {"reason", p.reason},
          {"by", p.by},
          {"since", p.since},
          {"until", or_null(p.until)}};
}

json::object as_json(const outbox::dead_row_filter& which) {
  json::object all;
  add(all, "exchange", which.exchange);
  add(all, "routing_key", which.routing_key);
  add(all, "ordering_key", which.ordering_key);
  add(all, "type", which.type);
  add(all, "reason", which.reason);
  if (which.since) all["since"] = format_duration(which.since->ago);
  if (which.id) all["id"] = *which.id;
  return all;
}

json::object as_json(const outbox::pause_scope& scope) {
  json::object all;
  add(all, "exchange", scope.exchange);
  add(all, "ordering_key", scope.ordering_key);
  return all;
}

}  // namespace outboxd::service
