#include "service/replay_command.hpp"

#include <ostream>

#include "outbox/row_pages.hpp"
#include "service/options.hpp"
#include "service/row_walk.hpp"
#include "service/typed_line.hpp"

namespace outboxd::service {
namespace {

// By the database's clock, once and for all: what is sent again meanwhile was sent later than that.
base::result<void> fix_times(outbox::row_pages& pages, replay_command& c) {
  const auto until = pages.resolve(c.until);
  if (!until) return until.error();
  c.until.at = *until;
  c.which.until = *until;
  if (!c.since) return {};
  const auto since = pages.resolve(*c.since);
  if (!since) return since.error();
  c.since->at = *since;
  c.which.since = *since;
  return {};
}

}  // namespace

std::string as_typed(const replay_command& c) {
  typed_line line("outboxd replay");
  line.add("--since", c.since);
  line.add("--until", c.until);
  line.add_filter(c.which);
  line.add_flag("--all", c.all);
  line.add_number("--rate", static_cast<std::int64_t>(c.rate));
  return line.text();
}

exit_code replay(const settings& s, const replay_command& c, const streams& to) {
  const auto database = database_check_options(s);
  if (!database) return fail(database.error(), to);
  auto pages = outbox::row_pages::open({database->url, database->schema, "outboxd replay"});
  if (!pages) return fail(pages.error(), to);
  replay_command fixed = c;
  if (const auto known = fix_times(*pages, fixed); !known) return fail(known.error(), to);
  row_walk job;
  job.action = "replay";
  job.done = "replayed";
  job.page = [&](std::int64_t after, int batch, bool count_only) {
    return pages->replay(fixed.which, after, batch, count_only);
  };
  job.rate = c.rate;
  job.dry_run = c.dry_run;
  job.go_on = as_typed(fixed);
  job.wants_go_on = true;
  return walk(job, to);
}

}  // namespace outboxd::service
