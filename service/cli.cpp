#include "service/cli.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <tuple>

#include "service/cli_rows.hpp"
#include "service/point_in_time.hpp"
#include "service/reference.hpp"
#include "service/units.hpp"

namespace outboxd::service {
namespace {

constexpr const char* description =
    "Relays committed rows of a PostgreSQL outbox table to RabbitMQ.\n"
    "Results go to stdout, logs to stderr.";

struct options {
  std::string format = "table", reference, limit = "2s";
  bool ready = false, version = false;
  migrate_command migrate;
  status_command status;
  dead_command dead;
  std::string since;
  pause_command pause;
  std::string pause_for;
  bool list_pauses = false;
  row_verbs rows;
};

void add_filters(CLI::App& verb, options& opts) {
  auto& which = opts.dead.which;
  verb.add_option("--exchange", which.exchange,
                  "Only rows for this exchange ('' is the default one)");
  verb.add_option("--routing-key", which.routing_key, "Only rows with this routing key");
  verb.add_option("--key", which.ordering_key, "Only rows with this ordering key");
  verb.add_option("--type", which.type, "Only rows of this type");
  verb.add_option("--reason", which.reason, "Only rows that died of this, such as too_large");
  verb.add_option("--since", opts.since,
                  "Only rows that died at this time or later: 2h (ago), or a time")
      ->check(is_point_in_time);
  verb.add_option("--id", which.id, "Only this row");
}

void add_dead(CLI::App& app, options& opts) {
  auto* dead = app.add_subcommand("dead", "List, show, retry and discard rows that were given up");
  dead->require_subcommand(0, 1);
  auto* list = dead->add_subcommand("list", "Dead rows, lowest ids first (the default)");
  add_filters(*list, opts);
  list->add_option("--limit", opts.dead.limit, "At most so many [100]")->check(CLI::PositiveNumber);
  auto* show =
      dead->add_subcommand("show", "One dead row, with its headers and the start of its body");
  show->add_option("id", opts.dead.which.id, "The row")->required();
  for (const auto& [name, sentence] :
       {std::pair("retry", "Send dead rows again, with a clean sheet"),
        std::pair("discard", "Delete dead rows")}) {
    auto* verb = dead->add_subcommand(name, sentence);
    add_filters(*verb, opts);
    verb->add_flag("--all", opts.dead.all, "Every dead row; wanted when there is no filter");
    verb->add_flag("--dry-run", opts.dead.dry_run, "Only say how many rows it would be");
  }
}

void add_pauses(CLI::App& app, options& opts) {
  auto* pause = app.add_subcommand("pause", "Stop publishing, until resume or for a while");
  auto* resume = app.add_subcommand("resume", "Go on publishing what was paused by the same words");
  for (auto* verb : {pause, resume}) {
    auto* exchange = verb->add_option("--exchange", opts.pause.scope.exchange,
                                      "Only this exchange ('' is the default one)");
    verb->add_option("--key", opts.pause.scope.ordering_key, "Only this ordering key")
        ->excludes(exchange);
  }
  pause->add_option("--for", opts.pause_for, "Go on by itself after this time, such as 15m")
      ->check(is_duration);
  pause->add_option("--reason", opts.pause.reason, "Shown to everybody who wonders why");
  pause->add_flag("--list", opts.list_pauses, "Pause nothing: say what is paused");
}

void add_migrate(CLI::App& app, migrate_command& migrate) {
  using action = migrate_command::action;
  auto* verb = app.add_subcommand("migrate", "Create or update the schema, or print its SQL");
  verb->require_subcommand(0, 1);
  for (const auto& [name, what, sentence] :
       {std::tuple("up", action::up, "Create or update the schema (the default)"),
        std::tuple("status", action::status, "Every version, and whether it is applied"),
        std::tuple("print", action::print, "The SQL, for psql or another migration tool")}) {
    verb->add_subcommand(name, sentence)->callback([&migrate, what = what] {
      migrate.what = what;
    });
  }
  auto& print = *verb->get_subcommand("print");
  auto& how = migrate.print;
  print.add_option("--format", how.format, "For which tool [sql]")
      ->check(CLI::IsMember(outbox::print_formats()));
  print.add_option("--from", how.from, "From this version on [1]")->check(CLI::PositiveNumber);
  print.add_option("--to", how.to, "Up to this version [the newest]")->check(CLI::PositiveNumber);
  print.add_option("--number", how.number, "What the first file is numbered with [the time]");
  print.add_option("--after", how.after, "alembic: the revision before the first one");
  print.add_option("--directory", migrate.directory, "Write files there, and replace none");
  auto* without = print.add_flag_callback(
      "--no-roles", [&how] { how.roles = outbox::print_roles::without; },
      "Without roles and grants");
  print
      .add_flag_callback(
          "--only-roles", [&how] { how.roles = outbox::print_roles::only; },
          "Nothing but roles and grants")
      ->excludes(without);
}

void add_verbs(CLI::App& app, options& opts) {
  app.add_subcommand("run", "Relay rows until SIGTERM (the default)");
  add_migrate(app, opts.migrate);
  app.add_subcommand(
      "check", "Test settings, database, schema, grants, broker and exchanges; one line each");
  auto* config =
      app.add_subcommand("config", "Print every setting, its value and where it came from");
  config->add_option("--reference", opts.reference, "Print a page of the reference instead")
      ->check(CLI::IsMember(reference_names()));
  auto* health =
      app.add_subcommand("healthcheck", "Ask the running process for /livez; exit status 0 or 1");
  health->add_flag("--ready", opts.ready, "Ask for /readyz instead");
  health->add_option("--timeout", opts.limit, "Time limit [2s]")->check(is_duration);
  auto* status = app.add_subcommand("status", "What the process that runs here does now");
  auto* watch = status->add_flag("--watch", opts.status.watch, "Every second, with rates");
  status->add_option("--count", opts.status.count, "So many times")
      ->needs(watch)
      ->check(CLI::PositiveNumber);
  add_dead(app, opts);
  add_pauses(app, opts);
  add_row_verbs(app, opts.rows);
  app.add_subcommand("version", "Print version and revision");
}

void add_everything(CLI::App& app, options& opts) {
  app.footer(settings_help);
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.add_option("-o,--output", opts.format, "table (the default) or json")
      ->check(CLI::IsMember({"table", "json"}));
  app.add_flag("-V,--version", opts.version, "Print version and revision");
  add_verbs(app, opts);
}

bool filters(const outbox::dead_row_filter& which) {
  return which.exchange || which.routing_key || which.ordering_key || which.type || which.reason ||
         which.since || which.id;
}

command to_dead_command(const CLI::App& verb, const options& opts) {
  using action = dead_command::action;
  dead_command c = opts.dead;
  if (!opts.since.empty()) c.which.since = parse_point_in_time(opts.since);
  const auto chosen = verb.get_subcommands();
  const std::string name = chosen.empty() ? "list" : chosen.front()->get_name();
  c.what = name == "show"      ? action::show
           : name == "retry"   ? action::retry
           : name == "discard" ? action::discard
                               : action::list;
  const bool decides = c.what == action::retry || c.what == action::discard;
  if (decides && !filters(c.which) && !c.all) {
    return answer_command{exit_code::usage, "dead " + name +
                                                " wants a filter, such as --id 7, or --all for "
                                                "every dead row"};
  }
  return c;
}

command to_pause_command(const std::string& verb, const options& opts) {
  using action = pause_command::action;
  pause_command c = opts.pause;
  c.what = verb == "resume" ? action::resume : opts.list_pauses ? action::list : action::pause;
  if (!opts.pause_for.empty())
    c.lasting = std::chrono::ceil<std::chrono::seconds>(*parse_duration(opts.pause_for));
  return c;
}

command to_command(const CLI::App& app, const options& opts) {
  if (opts.version) return version_command{};
  const auto chosen = app.get_subcommands();
  const std::string verb = chosen.empty() ? "run" : chosen.front()->get_name();
  if (verb == "run") return run_command{};
  if (verb == "check") return check_command{};
  if (verb == "config") return config_command{opts.reference};
  if (verb == "version") return version_command{};
  if (verb == "status") return opts.status;
  if (verb == "dead") return to_dead_command(*chosen.front(), opts);
  if (verb == "pause" || verb == "resume") return to_pause_command(verb, opts);
  if (verb == "replay") return to_replay_command(opts.rows);
  if (verb == "purge") return to_purge_command(opts.rows);
  if (verb == "healthcheck") return healthcheck_command{opts.ready, *parse_duration(opts.limit)};
  return opts.migrate;  // the only one left
}

// As far as it was read: also of a line that is wrong elsewhere.
output_format format_of(const CLI::App& app) {
  const auto& written = app.get_option("--output")->results();
  return !written.empty() && written.back() == "json" ? output_format::json : output_format::table;
}

}  // namespace

command_line parse_command_line(std::vector<std::string> arguments) {
  options opts;
  CLI::App app(description, "outboxd");
  add_everything(app, opts);

  std::reverse(arguments.begin(), arguments.end());  // what CLI11 expects of a vector
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return {answer_command{exit_code::done, app.help()}};
  } catch (const CLI::ParseError& e) {
    return {answer_command{exit_code::usage, std::string(e.what()) + "; see outboxd --help"},
            format_of(app)};
  }
  return {to_command(app, opts), format_of(app)};
}

cli_verb command_tree() {
  options opts;
  CLI::App app(description, "outboxd");
  add_everything(app, opts);
  return read_tree(app);
}

}  // namespace outboxd::service
