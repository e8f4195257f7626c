#include "service/purge_command.hpp"

#include "outbox/row_pages.hpp"
#include "service/options.hpp"
#include "service/row_walk.hpp"
#include "service/units.hpp"

namespace outboxd::service {

std::string as_typed(const purge_command& c) {
  std::string line = "outboxd purge";
  if (c.sent_older_than) line += " --sent-older-than " + format_duration(*c.sent_older_than);
  if (c.dead_older_than) line += " --dead-older-than " + format_duration(*c.dead_older_than);
  if (c.with_keys) line += " --with-keys";
  return line + " --rate " + std::to_string(c.rate);
}

exit_code purge(const settings& s, const purge_command& c, const streams& to) {
  const auto database = database_check_options(s);
  if (!database) return fail(database.error(), to);
  auto pages = outbox::row_pages::open({database->url, database->schema, "outboxd purge"});
  if (!pages) return fail(pages.error(), to);
  outbox::old_row_filter which;
  which.sent_older_than = c.sent_older_than;
  which.dead_older_than = c.dead_older_than;
  which.keep_dead_keys = !c.with_keys;
  row_walk job;
  if (c.dead_older_than && !c.with_keys) {
    const auto kept = pages->count_dead_keys(*c.dead_older_than);
    if (!kept) return fail(kept.error(), to);
    job.kept_keys = *kept;
  }
  job.action = "purge";
  job.done = "purged";
  job.page = [&](std::int64_t after, int batch, bool count_only) {
    return pages->purge(which, after, batch, count_only);
  };
  job.rate = c.rate;
  job.dry_run = c.dry_run;
  job.go_on = as_typed(c);
  return walk(job, to);
}

}  // namespace outboxd::service
