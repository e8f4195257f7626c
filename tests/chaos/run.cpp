#include "tests/chaos/run.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "tests/chaos/director.hpp"
#include "tests/chaos/evidence.hpp"
#include "tests/chaos/writers.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::chaos {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::size_t most_in_flight = 128;
constexpr std::size_t batch = 100;
constexpr std::size_t most_bytes = 2'000'000;
// What can be in memory at once: the core keeps twice the window, and what one read may bring.
constexpr under_way limits{.in_flight = most_in_flight, .held = 2 * most_in_flight + batch};

// Small, so that limits are met; the confirm timeout is longer than any fault but a frozen sidecar.
// What is worth trying both ways is the seed's choice.
tests::sidecar::settings sidecar_settings(const run_options& chosen) {
  luck chance(chosen.seed, 1'000);
  tests::sidecar::settings all = chosen.settings;
  all.merge(tests::sidecar::settings{{"OUTBOX_MAX_IN_FLIGHT", std::to_string(most_in_flight)},
                                     {"OUTBOX_BATCH_SIZE", std::to_string(batch)},
                                     {"OUTBOX_MAX_MESSAGE_SIZE", std::to_string(most_bytes) + "B"},
                                     {"OUTBOX_MAX_IN_FLIGHT_BYTES", "8MiB"},
                                     {"OUTBOX_CONFIRM_TIMEOUT", "10s"},
                                     {"OUTBOX_POLL_INTERVAL", "5s"},
                                     {"OUTBOX_RETRY_MIN", "100ms"},
                                     {"OUTBOX_RETRY_MAX", "3s"},
                                     {"OUTBOX_CONNECTIONS", std::to_string(chance.between(1, 3))},
                                     {"OUTBOX_WAKE", chance.one_in(4) ? "poll" : "notify"},
                                     {"OUTBOX_RETENTION", chance.one_in(3) ? "0s" : "24h"}});
  return all;
}

void say(const timeline& clock, const std::string& what) {
  std::cout << "[" + std::to_string(clock.now().count() / 1000) + " s] " + what + "\n"
            << std::flush;
}

// Rows that wait although they should be out, or dead: they bear no type, and the routing of poison
// that waits for ever is known.
std::string waiting_rows() {
  return "FROM outbox.messages WHERE status IN ('pending', 'deferred') AND exchange <> '" +
         missing_exchange + "' AND NOT (exchange = '" + headers_exchange +
         "' AND headers ->> 'kind' = 'never')";
}

// Why it is not yet over; empty: every row that can end has ended, and every message was taken and
// acked.
std::string undrained(const stage& on) {
  const std::string rows = on.value("SELECT count(*) " + waiting_rows());
  if (rows != "0") {
    return rows + " rows wait, the first of them: " +
           on.value(
               "SELECT concat_ws(' ', id, status, exchange, routing_key, ordering_key, due_at, "
               "last_error) " +
               waiting_rows() + " ORDER BY id LIMIT 1");
  }
  const std::size_t messages = on.queued();
  return messages == 0 ? "" : std::to_string(messages) + " messages are in the queues";
}

std::vector<table_row> table_of(const stage& on) {
  pqxx::connection connection(on.database_url());
  pqxx::nontransaction tx(connection);
  std::vector<table_row> all;
  for (const auto& row :
       tx.exec("SELECT message_id, status, COALESCE(last_error, ''), id FROM outbox.messages")) {
    all.push_back({row[0].c_str(), row[1].c_str(), row[2].c_str(), row[3].as<std::int64_t>()});
  }
  return all;
}

// A row over which the broker closes the channel costs what is under way on it, each time it is
// tried until it is known.
void add_refusals(facts& found) {
  for (const written_row& row : found.written) {
    if (row.bad == poison::refused && row.outcome == fate::committed)
      found.incidents.push_back(
          {"refused row", row.at, row.at + moment(5'000), 4 * limits.in_flight});
  }
}

void keep_logs(const fs::path& to) {
  const auto copy = [&](const char* log) {
    const fs::path from = tests::scratch_directory() / log;
    std::error_code ignored;
    fs::copy_file(from, to / from.filename(), fs::copy_options::overwrite_existing, ignored);
  };
  for (const char* log : {"postgres/postgres.log", "rabbitmq/rabbitmq.log"}) copy(log);
}

}  // namespace

summary run(const run_options& chosen) {
  timeline clock;
  const auto tell = [&](const std::string& what) { say(clock, what); };
  fs::create_directories(chosen.output);
  const moment length{static_cast<std::int64_t>(chosen.minutes * 60'000)};

  tell("seed " + std::to_string(chosen.seed) + "; starting the servers of profile " +
       to_string(chosen.where));
  stage servers(chosen.where);
  tell("starting " + std::to_string(chosen.replicas) + " sidecars");
  const auto settings = sidecar_settings(chosen);
  replicas relays(chosen.replicas, servers.gated_database_url(), servers.gated_amqp_url(), settings,
                  chosen.output);

  timeline run_clock;
  consumers readers(servers.amqp_urls(), queues(), run_clock);
  writers services({.database_url = servers.database_url(),
                    .seed = chosen.seed,
                    .count = chosen.writers,
                    .rows_per_second = chosen.rows_per_second,
                    .limits = {.over_the_brokers_limit = stage::brokers_limit + 1,
                               .over_our_limit = most_bytes + 1}},
                   run_clock);
  director faults(servers, relays, readers, run_clock, limits, tell);
  std::thread playing([&] { faults.play(length, chosen.seed, chosen.where); });
  while (run_clock.now() < length) {
    run_clock.pause(std::min(moment(10'000), length - run_clock.now()));
    tell(std::to_string(services.rows()) + " rows written, " + std::to_string(readers.received()) +
         " messages received");
  }
  run_clock.end();
  playing.join();

  summary result{
      .where = chosen.where, .seed = chosen.seed, .minutes = chosen.minutes, .settings = settings};
  const auto order = settings.find("OUTBOX_ORDERING");
  facts found{.keeps_sent = settings.at("OUTBOX_RETENTION") != "0s",
              .keeps_order = order == settings.end() || order->second != "pipelined",
              .lossy_queues = lossy_queues()};
  found.written = services.finish();
  result.rows_written = found.written.size();
  result.commits_in_doubt = services.in_doubt();
  tell("no more faults: waiting for everything to arrive");
  const moment mended = clock.now();
  std::string why;
  if (!tests::eventually(3min, [&] { return (why = undrained(servers)).empty(); }))
    tell("stuck: " + why + "\n" + relays.self_description());
  result.drained_after_seconds = static_cast<double>((clock.now() - mended).count()) / 1000;
  result.used = relays.used();
  for (std::size_t i = 0; i < relays.count(); ++i) relays.stop(i);
  // What was sent a second time just before the end.
  const bool all_taken = tests::eventually(30s, [&] { return servers.queued() == 0; });

  found.deliveries = readers.finish();
  found.table = table_of(servers);
  found.crashes = relays.crashes();
  found.incidents = faults.incidents();
  for (const incident& i : found.incidents) ++result.faults[i.kind];
  add_refusals(found);
  result.unstaged = faults.failures();
  if (!all_taken) result.unstaged.push_back("the consumers did not empty the queues");
  result.reached = judge(found);
  if (!result.passed()) {
    keep_logs(chosen.output);
    write_evidence(found, chosen.output);
  }
  return result;
}

}  // namespace outboxd::chaos
