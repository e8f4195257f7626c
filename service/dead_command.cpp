#include "service/dead_command.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <ostream>
#include <sstream>

#include "outbox/row_pages.hpp"
#include "service/admin_json.hpp"
#include "service/options.hpp"
#include "service/row_walk.hpp"
#include "service/typed_line.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;

std::string destination_of(const outbox::dead_row& row) {
  return row.exchange.empty() ? "queue " + row.routing_key : row.exchange + "/" + row.routing_key;
}

exit_code list(const outbox::dead_row_options& options, const dead_command& c, const streams& to) {
  const auto rows = outbox::list_dead(options, c.which, 0, c.limit);
  if (!rows) return fail(rows.error(), to);
  to.out << render(*rows, to.format);
  if (to.format == output_format::table && rows->size() == c.limit) {
    const auto all = outbox::count_dead(options, c.which);
    if (all) to.out << rows->size() << " of " << *all << " rows; --limit shows more\n";
  }
  return exit_code::done;
}

exit_code show(const outbox::dead_row_options& options, const dead_command& c, const streams& to) {
  const auto row = outbox::show_dead(options, *c.which.id);
  if (!row && row.error().kind == base::failure_kind::not_ready) {
    complain(row.error().text, to);
    return exit_code::unhealthy;
  }
  if (!row) return fail(row.error(), to);
  to.out << render(*row, to.format);
  return exit_code::done;
}

// By the database's clock, once and for all, as for the other verbs.
base::result<void> fix_time(outbox::row_pages& pages, outbox::dead_row_filter& which) {
  if (!which.since) return {};
  const auto since = pages.resolve(*which.since);
  if (!since) return since.error();
  which.since->at = *since;
  return {};
}

exit_code decide(const outbox::dead_row_options& options, const dead_command& c,
                 const streams& to) {
  auto pages = outbox::row_pages::open({options.url, options.schema, options.application_name, 1});
  if (!pages) return fail(pages.error(), to);
  dead_command fixed = c;
  if (const auto known = fix_time(*pages, fixed.which); !known) return fail(known.error(), to);
  const bool retry = c.what == dead_command::action::retry;
  const auto fate = retry ? outbox::dead_row_fate::retry : outbox::dead_row_fate::discard;
  row_walk job;
  job.action = retry ? "retry" : "discard";
  job.done = retry ? "retried" : "discarded";
  job.page = [&](std::int64_t after, int batch, bool count_only) {
    return pages->dead(fixed.which, fate, after, batch, count_only);
  };
  job.dry_run = c.dry_run;
  job.go_on = as_typed(fixed);
  return walk(job, to);
}

}  // namespace

std::string render(const std::vector<outbox::dead_row>& rows, output_format format) {
  std::ostringstream out;
  if (format == output_format::json) {
    out << json::serialize(as_json(rows)) << "\n";
    return out.str();
  }
  if (rows.empty()) return "no dead rows\n";
  for (const auto& row : rows) {
    out << row.id << "  " << row.died_at << "  " << destination_of(row);
    if (row.ordering_key) out << "  key " << *row.ordering_key;
    if (row.type) out << "  type " << *row.type;
    out << "  " << row.last_error << "\n";
  }
  return out.str();
}

std::string render(const outbox::dead_row_in_full& full, output_format format) {
  std::ostringstream out;
  const auto& row = full.row;
  if (format == output_format::json) {
    out << json::serialize(as_json(full)) << "\n";
    return out.str();
  }
  const auto line = [&](const char* name, const std::string& value) {
    out << name << std::string(14 - std::string(name).size(), ' ') << value << "\n";
  };
  line("id", std::to_string(row.id));
  line("message_id", row.message_id);
  line("exchange", row.exchange);
  line("routing_key", row.routing_key);
  if (row.ordering_key) line("ordering_key", *row.ordering_key);
  if (row.type) line("type", *row.type);
  if (full.content_type) line("content_type", *full.content_type);
  if (full.headers) line("headers", *full.headers);
  line("created_at", row.created_at);
  line("died_at", row.died_at);
  line("attempts", std::to_string(row.attempts));
  line("last_error", row.last_error);
  line("body", std::to_string(full.body_size) + " bytes" + (full.body_is_text ? "" : ", in hex"));
  out << full.body_beginning << "\n";
  return out.str();
}

std::string as_typed(const dead_command& c) {
  const bool retry = c.what == dead_command::action::retry;
  typed_line line(retry ? "outboxd dead retry" : "outboxd dead discard");
  line.add_filter(c.which);
  line.add("--reason", c.which.reason);
  line.add("--since", c.which.since);
  line.add_flag("--all", c.all);
  return line.text();
}

exit_code dead(const settings& s, const dead_command& c, const streams& to) {
  const auto database = database_check_options(s);
  if (!database) return fail(database.error(), to);
  const outbox::dead_row_options options{database->url, database->schema};
  switch (c.what) {
    case dead_command::action::list:
      return list(options, c, to);
    case dead_command::action::show:
      return show(options, c, to);
    case dead_command::action::retry:
    case dead_command::action::discard:
      break;
  }
  return decide(options, c, to);
}

}  // namespace outboxd::service
