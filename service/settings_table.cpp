#include "service/settings_table.hpp"

#include <array>

#include "service/units.hpp"

namespace outboxd::service {
namespace {

using s = settings;

constexpr std::uint64_t second = 1'000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
constexpr std::uint64_t kib = 1u << 10, mib = 1u << 20, gib = 1u << 30;

constexpr std::string_view connections = "Connections";
constexpr std::string_view window = "Throughput and limits";
constexpr std::string_view failures = "Order and failures";
constexpr std::string_view reading = "Reading and keeping rows";
constexpr std::string_view process = "Process";

constexpr std::array table{
    setting{.name = "OUTBOX_DATABASE_URL",
            .where = &s::database_url,
            .fallback = "DATABASE_URL",
            .group = connections,
            .sentence =
                "PostgreSQL, as a libpq URI or key/value string, several hosts allowed; when "
                "neither is set, libpq reads its own PG* variables. On another host "
                "sslmode=verify-full unless given."},
    setting{.name = "OUTBOX_MIGRATE_DATABASE_URL",
            .where = &s::migrate_database_url,
            .fallback = "OUTBOX_DATABASE_URL",
            .group = connections,
            .sentence = "The schema owner's connection, for `migrate` and OUTBOX_AUTO_MIGRATE."},
    setting{.name = "OUTBOX_SCHEMA",
            .where = &s::schema,
            .default_value = "outbox",
            .group = connections,
            .sentence = "The schema that holds the outbox."},
    setting{.name = "OUTBOX_AMQP_URL",
            .where = &s::amqp_url,
            .default_value = "amqp://guest:guest@localhost:5672/",
            .fallback = "AMQP_URL",
            .group = connections,
            .sentence = "RabbitMQ, one URI for each node of the cluster, separated by commas, with "
                        "RabbitMQ's own query parameters."},
    setting{.name = "OUTBOX_AMQP_USERNAME",
            .where = &s::amqp_username,
            .group = connections,
            .sentence = "Overrides the user of every URI."},
    setting{.name = "OUTBOX_AMQP_PASSWORD",
            .where = &s::amqp_password,
            .group = connections,
            .sentence = "Overrides the password of every URI."},
    setting{.name = "OUTBOX_CONNECTIONS",
            .where = &s::connections,
            .default_value = "2",
            .lowest = 1,
            .highest = 64,
            .group = connections,
            .sentence = "AMQP connections; one more is open while rows that failed need it."},

    setting{.name = "OUTBOX_BATCH_SIZE",
            .where = &s::batch_size,
            .default_value = "1000",
            .lowest = 1,
            .highest = 100'000,
            .group = window,
            .sentence = "Rows read by one statement."},
    setting{.name = "OUTBOX_MAX_IN_FLIGHT",
            .where = &s::max_in_flight,
            .default_value = "2048",
            .lowest = 1,
            .highest = 1'000'000,
            .group = window,
            .sentence = "Unconfirmed messages, all connections together."},
    setting{.name = "OUTBOX_MAX_IN_FLIGHT_BYTES",
            .where = &s::max_in_flight_bytes,
            .default_value = "64MiB",
            .lowest = 64 * kib,
            .highest = 64 * gib,
            .group = window,
            .sentence = "Payload bytes held in memory, whatever the backlog."},
    setting{.name = "OUTBOX_MAX_MESSAGE_SIZE",
            .where = &s::max_message_size,
            .default_value = "16MiB",
            .lowest = 1,
            .highest = 512 * mib,
            .group = window,
            .sentence = "A row with a larger payload is never sent; it is dead, reason too_large."},

    setting{.name = "OUTBOX_ORDERING",
            .where = &s::ordering,
            .default_value = "strict",
            .choices = "strict|pipelined",
            .group = failures,
            .sentence = "`strict` keeps one unconfirmed message per key; `pipelined` sends a key's "
                        "messages without waiting, so that a later one may overtake a failed one."},
    setting{.name = "OUTBOX_CONFIRM_TIMEOUT",
            .where = &s::confirm_timeout,
            .default_value = "30s",
            .lowest = second,
            .highest = hour,
            .group = failures,
            .sentence =
                "A connection whose oldest message is unconfirmed for longer is given up and "
                "its rows are sent again; the destination of that message is held. Time while the "
                "broker is blocked does not count."},
    setting{.name = "OUTBOX_RETRY_MIN",
            .where = &s::retry_min,
            .default_value = "500ms",
            .lowest = 10,
            .highest = hour,
            .group = failures,
            .sentence = "First pause of a row that was returned or nacked, or whose destination is "
                        "missing or forbidden; it doubles, with jitter."},
    setting{.name = "OUTBOX_RETRY_MAX",
            .where = &s::retry_max,
            .default_value = "1m",
            .lowest = 10,
            .highest = day,
            .group = failures,
            .sentence =
                "Longest pause of such a row; a destination that is held is asked every 10 s at "
                "least, unless it keeps silent."},
    setting{
        .name = "OUTBOX_GIVE_UP_AFTER",
        .where = &s::give_up_after,
        .default_value = "0s",
        .highest = 3650 * day,
        .group = failures,
        .sentence =
            "Such a row is dead on a failed attempt this long after its first failure, after at "
            "least 10 attempts, and never while its destination is held; 0s means never."},
    setting{.name = "OUTBOX_MAX_DELAY",
            .where = &s::max_delay,
            .default_value = "0",
            .highest = 3650 * day,
            .group = failures,
            .sentence =
                "A row scheduled further ahead is dead, reason delay_too_long; 0 means no limit."},
    setting{
        .name = "OUTBOX_ON_DEAD",
        .where = &s::on_dead,
        .default_value = "continue",
        .choices = "continue|block",
        .group = failures,
        .sentence = "`block` holds the later rows of a dead row's key until an operator decides."},

    setting{.name = "OUTBOX_WAKE",
            .where = &s::wake,
            .default_value = "notify",
            .choices = "notify|poll",
            .group = reading,
            .sentence = "`notify` is woken by the commit itself; `poll` only looks at intervals."},
    setting{.name = "OUTBOX_POLL_INTERVAL",
            .where = &s::poll_interval,
            .default_value = "1s",
            .lowest = 10,
            .highest = minute,
            .group = reading,
            .sentence = "How often an idle relay looks for rows by itself."},
    setting{.name = "OUTBOX_RETENTION",
            .where = &s::retention,
            .default_value = "24h",
            .highest = 3650 * day,
            .group = reading,
            .sentence =
                "Sent rows are purged after this time; with 0s a row is deleted as soon as it "
                "is confirmed."},
    setting{.name = "OUTBOX_DEAD_RETENTION",
            .where = &s::dead_retention,
            .default_value = "30d",
            .lowest = second,
            .highest = 3650 * day,
            .group = reading,
            .sentence = "Dead rows are purged after this time; those with an ordering key stay for "
                        "ever under OUTBOX_ON_DEAD=block."},
    setting{.name = "OUTBOX_AUTO_MIGRATE",
            .where = &s::auto_migrate,
            .default_value = "false",
            .choices = "true|false",
            .group = reading,
            .sentence = "With `true`, `run` applies the migrations first."},

    setting{.name = "OUTBOX_HTTP_LISTEN",
            .where = &s::http_listen,
            .default_value = "0.0.0.0:9654",
            .group = process,
            .sentence = "Metrics, health and the status page; read-only."},
    setting{.name = "OUTBOX_ADMIN_LISTEN",
            .where = &s::admin_listen,
            .default_value = "127.0.0.1:9655",
            .choices = "off",
            .group = process,
            .sentence = "The admin API, and the status page with its actions; a default that is "
                        "taken is left to whoever has it, with a warning."},
    setting{.name = "OUTBOX_ADMIN_TOKEN",
            .where = &s::admin_token,
            .group = process,
            .sentence = "What the admin API wants as `Authorization: Bearer`; must be set when "
                        "OUTBOX_ADMIN_LISTEN is not a loopback address. A file is read again at "
                        "every request."},
    setting{.name = "OUTBOX_SHUTDOWN_TIMEOUT",
            .where = &s::shutdown_timeout,
            .default_value = "20s",
            .highest = hour,
            .group = process,
            .sentence = "How long SIGTERM waits for confirms before it exits with 75."},
    setting{.name = "OUTBOX_INSTANCE_ID",
            .where = &s::instance_id,
            .group = process,
            .sentence =
                "Names this process in logs, AMQP connections and PostgreSQL's "
                "application_name; POD_NAME unless given, else the host name and 4 hex digits."},
    setting{.name = "OUTBOX_LOG_LEVEL",
            .where = &s::log_level,
            .default_value = "info",
            .choices = "debug|info|warn|error",
            .group = process,
            .sentence = "The least severe line that is written."},
    setting{.name = "OUTBOX_LOG_FORMAT",
            .where = &s::log_format,
            .default_value = "auto",
            .choices = "auto|text|json",
            .group = process,
            .sentence = "`auto` writes text to a terminal and JSON elsewhere."},
};

std::string from_to(const setting& row, std::string (*print)(std::uint64_t)) {
  return "from " + print(row.lowest) + " to " + print(row.highest);
}

std::string quoted_choices(std::string_view choices) {
  std::string out;
  for (const char c : choices) {
    if (c == '|')
      out += " or ";
    else
      out += c;
  }
  return out;
}

struct describe {
  const setting& row;
  wording how;

  std::string such_as(std::string_view forms) const {
    if (how == wording::brief) return " ";
    return " with its unit such as " + std::string(forms) + ", ";
  }

  std::string operator()(std::string settings::*) const {
    if (!row.choices.empty()) return quoted_choices(row.choices);
    if (row.name == "OUTBOX_SCHEMA")
      return "at most 55 bytes, without quotes, dollar signs and backslashes";
    return "letters, digits and . _ : -, at most 63";
  }
  std::string operator()(secret settings::*) const {
    return "a secret, or its file in " + std::string(row.name) + "_FILE";
  }
  std::string operator()(std::size_t settings::*) const {
    return "a whole number " + from_to(row, [](std::uint64_t v) { return std::to_string(v); });
  }
  std::string operator()(byte_size settings::*) const {
    return "a size" + such_as(size_forms) + from_to(row, format_size);
  }
  std::string operator()(std::chrono::milliseconds settings::*) const {
    const auto print = [](std::uint64_t v) {
      return format_duration(std::chrono::milliseconds(static_cast<std::int64_t>(v)));
    };
    return "a duration" + such_as(duration_forms) + from_to(row, print);
  }
  std::string operator()(bool settings::*) const { return "true or false"; }
  std::string operator()(listen_address settings::*) const {
    const std::string form =
        how == wording::brief ? "address:port" : "address:port such as 0.0.0.0:9654 or [::1]:9654";
    return row.choices.empty() ? form : form + ", or " + quoted_choices(row.choices);
  }
};

}  // namespace

std::span<const setting> settings_table() {
  return table;
}

std::string accepted_forms(const setting& row, wording how) {
  return std::visit(describe{row, how}, row.where);
}

}  // namespace outboxd::service
