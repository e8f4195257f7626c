#include "service/replay_command.hpp"

#include <ostream>

#include "outbox/row_pages.hpp"
#include "service/options.hpp"
#include "service/row_walk.hpp"
#include "service/units.hpp"

namespace outboxd::service {
namespace {

// For a shell: whatever it holds is one word.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += R"('\'')";
    } else {
      out += c;
    }
  }
  return out += '\'';
}

std::string written(const outbox::point_in_time& when) {
  return when.at.empty() ? format_duration(when.ago) : when.at;
}

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
  std::string line = "outboxd replay";
  const auto add = [&](const char* option, const std::string& value) {
    line += std::string(" ") + option + " " + value;
  };
  if (c.since) add("--since", written(*c.since));
  add("--until", written(c.until));
  const auto& which = c.which;
  for (const auto& [option, text] :
       {std::pair("--exchange", &which.exchange), std::pair("--routing-key", &which.routing_key),
        std::pair("--key", &which.ordering_key), std::pair("--type", &which.type)}) {
    if (*text) add(option, quoted(**text));
  }
  if (which.id) add("--id", std::to_string(*which.id));
  if (c.all) line += " --all";
  add("--rate", std::to_string(c.rate));
  return line;
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
  return walk(job, to);
}

}  // namespace outboxd::service
