#include "service/cli_rows.hpp"

#include <CLI/CLI.hpp>

#include "service/point_in_time.hpp"
#include "service/units.hpp"

namespace outboxd::service {
namespace {

template <typename Command>
void add_pace(CLI::App& verb, Command& c, const std::string& usual) {
  verb.add_option("--rate", c.rate, "Rows a second, 0 for no limit [" + usual + "]")
      ->check(CLI::NonNegativeNumber);
  verb.add_flag("--dry-run", c.dry_run, "Only say how many rows it would be");
}

void add_replay(CLI::App& app, row_verbs& into) {
  auto* verb = app.add_subcommand("replay", "Send rows again that were sent before");
  auto& c = into.replay;
  verb->add_option("--since", into.since,
                   "Only rows sent at this time or later: 2h (ago), or a time")
      ->check(is_point_in_time);
  verb->add_option("--until", into.until, "Only rows sent until then [now]")
      ->check(is_point_in_time);
  verb->add_option("--exchange", c.which.exchange,
                   "Only rows for this exchange ('' is the default one)");
  verb->add_option("--routing-key", c.which.routing_key, "Only rows with this routing key");
  verb->add_option("--key", c.which.ordering_key, "Only rows with this ordering key");
  verb->add_option("--type", c.which.type, "Only rows of this type");
  verb->add_option("--id", c.which.id, "Only this row");
  verb->add_flag("--all", c.all, "Every sent row; wanted when there is no filter");
  add_pace(*verb, c, "1000");
}

void add_purge(CLI::App& app, row_verbs& into) {
  auto* verb = app.add_subcommand("purge", "Delete rows that were sent, or given up, long ago");
  auto& c = into.purge;
  verb->add_option("--sent-older-than", into.sent_older_than, "Rows sent so long ago, such as 24h")
      ->check(is_duration);
  auto* dead = verb->add_option("--dead-older-than", into.dead_older_than,
                                "Rows given up so long ago, but for those with an ordering key");
  dead->check(is_duration);
  verb->add_flag("--with-keys", c.with_keys,
                 "Dead rows with an ordering key too, which they may hold")
      ->needs(dead);
  add_pace(*verb, c, "10000");
}

bool filters(const outbox::sent_row_filter& which) {
  return which.exchange || which.routing_key || which.ordering_key || which.type || which.id;
}

}  // namespace

std::string is_duration(const std::string& text) {
  const auto value = parse_duration(text);
  if (value && value->count() > 0) return {};
  return "write a duration with its unit, such as " + std::string(duration_forms);
}

std::string is_point_in_time(const std::string& text) {
  if (parse_point_in_time(text)) return {};
  return "write " + std::string(point_in_time_forms);
}

void add_row_verbs(CLI::App& app, row_verbs& into) {
  add_replay(app, into);
  add_purge(app, into);
}

command to_replay_command(const row_verbs& written) {
  replay_command c = written.replay;
  if (!written.since.empty()) c.since = parse_point_in_time(written.since);
  if (!written.until.empty()) c.until = *parse_point_in_time(written.until);
  if (!c.since && !filters(c.which) && !c.all) {
    return answer_command{exit_code::usage,
                          "replay wants a filter, such as --since 2h, or --all for every "
                          "row that was sent"};
  }
  return c;
}

command to_purge_command(const row_verbs& written) {
  purge_command c = written.purge;
  c.sent_older_than = parse_duration(written.sent_older_than);
  c.dead_older_than = parse_duration(written.dead_older_than);
  if (!c.sent_older_than && !c.dead_older_than) {
    return answer_command{exit_code::usage,
                          "purge wants an age: --sent-older-than, such as 24h, or "
                          "--dead-older-than"};
  }
  return c;
}

}  // namespace outboxd::service
