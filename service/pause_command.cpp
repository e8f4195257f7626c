#include "service/pause_command.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <ostream>

#include "outbox/pauses.hpp"
#include "service/admin_json.hpp"
#include "service/check.hpp"
#include "service/options.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;

std::string in_words(const outbox::pause& p) {
  std::string text = outbox::name_of(p.scope) + "  since " + p.since + " by " + p.by;
  if (p.until) text += ", until " + *p.until;
  if (!p.reason.empty()) text += ": " + p.reason;
  return text;
}

// What is paused after what was done.
exit_code show(const outbox::pause_options& options, const std::string& done, const streams& to) {
  const auto all = outbox::list_pauses(options);
  if (!all) return fail(all.error(), to);
  if (to.format == output_format::json) {
    to.out << json::serialize(as_json(*all)) << "\n";
    return exit_code::done;
  }
  if (!done.empty()) to.out << done << "\n";
  for (const auto& p : *all) to.out << "paused: " << in_words(p) << "\n";
  if (all->empty()) to.out << "nothing is paused\n";
  return exit_code::done;
}

exit_code resume(const outbox::pause_options& options, const outbox::pause_scope& scope,
                 const streams& to) {
  const auto ended = outbox::end_pause(options, scope);
  if (!ended) return fail(ended.error(), to);
  return show(options, outbox::name_of(scope) + (*ended ? " goes on" : " was not paused"), to);
}

}  // namespace

exit_code pause(const settings& s, const pause_command& c, const streams& to) {
  const auto database = database_check_options(s);
  if (!database) return fail(database.error(), to);
  const outbox::pause_options options{database->url, database->schema};
  if (c.what == pause_command::action::list) return show(options, "", to);
  if (c.what == pause_command::action::resume) return resume(options, c.scope, to);
  const auto begun = outbox::begin_pause(options, c.scope, c.lasting, c.reason);
  if (!begun) return fail(begun.error(), to);
  return show(options, "", to);
}

}  // namespace outboxd::service
