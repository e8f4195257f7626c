#include "service/one_shot.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <ostream>

#include "base/text.hpp"
#include "outbox/migrator.hpp"
#include "service/check.hpp"
#include "service/health_probe.hpp"
#include "service/migrate_print.hpp"
#include "service/options.hpp"

namespace outboxd::service {
namespace {

exit_code migrate_up(const outbox::migrate_options& options, const streams& to) {
  const auto report = outbox::up(options);
  if (!report) return fail(report.error(), to);
  if (to.format == output_format::json) {
    boost::json::object all{{"version", report->version}, {"grants_to_run", report->grants_to_run}};
    all["applied"] = boost::json::array(report->applied.begin(), report->applied.end());
    to.out << boost::json::serialize(all) << "\n";
    return exit_code::done;
  }
  for (const int version : report->applied) to.out << "applied " << version << "\n";
  to.out << "schema " << options.schema << " is at version " << report->version << "\n";
  if (!report->grants_to_run.empty()) {
    to.out << "-- This login may not make the following roles and grants; ask an administrator to "
              "run:\n"
           << report->grants_to_run;
  }
  return exit_code::done;
}

exit_code migrate_status(const outbox::migrate_options& options, const streams& to) {
  const auto all = outbox::status(options);
  if (!all) return fail(all.error(), to);
  boost::json::array rows;
  for (const auto& m : *all) {
    const auto state = outbox::to_string(m.status);
    if (to.format == output_format::json) {
      rows.push_back(boost::json::object{{"version", m.version},
                                         {"title", m.title},
                                         {"status", state},
                                         {"applied_at", m.applied_at},
                                         {"applied_by", m.applied_by}});
      continue;
    }
    to.out << m.version << "  " << state << "  " << m.title;
    if (!m.applied_at.empty()) to.out << "  " << m.applied_at << " by " << m.applied_by;
    to.out << "\n";
  }
  if (to.format == output_format::json) to.out << boost::json::serialize(rows) << "\n";
  return exit_code::done;
}

// The checks of /readyz are JSON already; what else is said is a reason.
std::string health_as_json(bool ok, const std::string& said) {
  boost::json::object all{{"ok", ok}};
  boost::system::error_code none;
  const auto parsed = boost::json::parse(said, none);
  const auto* checks =
      none || !parsed.is_object() ? nullptr : parsed.as_object().if_contains("checks");
  if (checks != nullptr) {
    all["checks"] = *checks;
  } else if (!ok) {
    all["error"] = base::as_text(said);
  }
  return boost::json::serialize(all);
}

}  // namespace

void complain(const std::string& why, const streams& to) {
  to.err << "outboxd: " << why << "\n";
  if (to.format == output_format::json)
    to.out << boost::json::serialize(boost::json::object{{"error", base::as_text(why)}}) << "\n";
}

exit_code fail(const base::failure& why, const streams& to) {
  complain(why.text, to);
  return to_exit_code(why.kind);
}

exit_code migrate(const settings& s, const migrate_command& how, const streams& to) {
  const auto options = migration_options(s);
  if (!options) return fail(options.error(), to);
  switch (how.what) {
    case migrate_command::action::up:
      return migrate_up(*options, to);
    case migrate_command::action::status:
      return migrate_status(*options, to);
    case migrate_command::action::print:
      break;
  }
  return print_migrations({options->schema, options->roles}, how, to);
}

exit_code check(const settings& s, const streams& to) {
  const auto lines = run_checks(s);
  to.out << render_checks(lines, to.format);
  return judge(lines);
}

exit_code healthcheck(const settings& s, const healthcheck_command& how, const streams& to) {
  const bool as_json = to.format == output_format::json;
  const auto answer = probe(s.http_listen, how.ready ? "/readyz?verbose" : "/livez", how.limit,
                            as_json ? "application/json" : "*/*");
  const std::string& said = answer ? *answer : answer.error().text;
  if (as_json) {
    to.out << health_as_json(answer.has_value(), said) << "\n";
  } else if (answer) {
    to.out << said;
  } else {
    to.err << "outboxd: " << said << "\n";
  }
  return answer ? exit_code::done : exit_code::unhealthy;
}

}  // namespace outboxd::service
