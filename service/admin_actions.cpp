#include "service/admin_actions.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <cassert>

#include "service/admin_json.hpp"
#include "service/problem.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;

http_reply json_reply(const json::object& all) {
  return {.content_type = "application/json", .body = json::serialize(all) + "\n"};
}

admin_outcome failed(http_reply reply, const std::string& why) {
  return {.reply = std::move(reply), .error = why};
}

admin_outcome failed(const base::failure& why) {
  return failed(problem(why), why.text);
}

admin_outcome missing(const std::string& what) {
  return failed(problem(404, what), what);
}

admin_outcome list(const admin_call& call, admin_database& database, blocking_call& waits) {
  const auto rows = database.list_dead(waits, call.which, call.after, call.limit);
  if (!rows) return failed(rows.error());
  json::object all{{"rows", as_json(*rows)}, {"next", nullptr}};
  if (rows->size() == call.limit) all["next"] = rows->back().id;
  return {.reply = json_reply(all)};
}

admin_outcome show(const admin_call& call, admin_database& database, blocking_call& waits) {
  assert(call.which.id);
  const auto row = database.show_dead(waits, *call.which.id);
  if (row) return {.reply = json_reply(as_json(*row))};
  if (row.error().kind == base::failure_kind::not_ready) return missing(row.error().text);
  return failed(row.error());
}

admin_outcome decide(const admin_call& call, admin_database& database, blocking_call& waits) {
  const auto fate = call.what == admin_action::retry ? outbox::dead_row_fate::retry
                                                     : outbox::dead_row_fate::discard;
  const auto rows = call.dry_run ? database.count_dead(waits, call.which)
                                 : database.decide_dead(waits, call.which, fate);
  if (!rows) return failed(rows.error());
  return {.reply = json_reply(
              {{"action", to_string(call.what)}, {"rows", *rows}, {"done", !call.dry_run}}),
          .rows = *rows};
}

admin_outcome pauses(admin_database& database, blocking_call& waits) {
  const auto all = database.list_pauses(waits);
  if (!all) return failed(all.error());
  return {.reply = json_reply({{"pauses", as_json(*all)}})};
}

admin_outcome begin_pause(const admin_call& call, admin_database& database, blocking_call& waits) {
  const auto begun = database.begin_pause(waits, call.scope, call.lasting, call.reason);
  if (!begun) return failed(begun.error());
  return {.reply = {.status = 204}};
}

admin_outcome end_pause(const admin_call& call, admin_database& database, blocking_call& waits) {
  const auto ended = database.end_pause(waits, call.scope);
  if (!ended) return failed(ended.error());
  if (!*ended) return missing("there is no such pause");
  return {.reply = {.status = 204}};
}

}  // namespace

admin_outcome carry_out(const admin_call& call, admin_database& database, blocking_call& waits) {
  switch (call.what) {
    case admin_action::status:
      break;
    case admin_action::list_dead:
      return list(call, database, waits);
    case admin_action::show_dead:
      return show(call, database, waits);
    case admin_action::retry:
    case admin_action::discard:
      return decide(call, database, waits);
    case admin_action::list_pauses:
      return pauses(database, waits);
    case admin_action::pause:
      return begin_pause(call, database, waits);
    case admin_action::resume:
      return end_pause(call, database, waits);
  }
  return failed(problem(500, "not a call to the database"), "not a call to the database");
}

}  // namespace outboxd::service
