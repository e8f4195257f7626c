#include "examples/user_card/demo/faults.hpp"

#include "examples/user_card/service.hpp"

#include <pqxx/pqxx>

#include <algorithm>
#include <chrono>
#include <random>

namespace user_card::demo {
namespace {

using namespace std::chrono_literals;

constexpr auto outage = 3s;

void execute(const std::string& database, const std::string& sql) {
  pqxx::connection connection(database);
  pqxx::nontransaction(connection).exec(sql);
}

std::int64_t waiting_rows(const std::string& database) {
  pqxx::connection connection(database);
  return pqxx::nontransaction(connection)
      .exec1("SELECT count(*) FROM outbox.messages WHERE status = 'pending'")[0]
      .as<std::int64_t>();
}

// Every INSERT of a card fails for a while, as it would with a full disk or a broken function.
void refuse_cards(const side& at, const std::string& reason, const std::stop_token& stop) {
  execute(at.admin_database,
          "CREATE FUNCTION refuse_card() RETURNS trigger LANGUAGE plpgsql AS "
          "$$ BEGIN RAISE EXCEPTION '" +
              reason +
              "'; END $$;"
              "CREATE TRIGGER refuse_card BEFORE INSERT ON cards "
              "FOR EACH ROW EXECUTE FUNCTION refuse_card()");
  pause(stop, outage);
  execute(at.admin_database, "DROP TRIGGER refuse_card ON cards; DROP FUNCTION refuse_card()");
}

void lose_database(stage& on, const std::stop_token& stop) {
  on.running.postgres.stop(outboxd::tests::stop_mode::immediate);
  pause(stop, outage);
  on.running.postgres.start();
}

// Cards are created while their sidecar is dead, and when it comes back the broker is gone.
void stop_broker_before_cards_leave(stage& on, const narrator& say, const std::stop_token& stop) {
  constexpr std::int64_t enough = 20;
  on.card_sidecar.kill();
  std::int64_t waiting = 0;
  for (int tries = 0; waiting < enough && tries < 100 && !stop.stop_requested(); ++tries) {
    pause(stop, 100ms);
    waiting = waiting_rows(on.cards.admin_database);
  }
  on.running.rabbitmq.stop();
  say("    the broker is down, with " + std::to_string(waiting) +
      " cards created and not published");
  on.card_sidecar.start();
  pause(stop, outage);
  on.running.rabbitmq.start();
}

void kill_for_a_moment(const std::vector<process*>& victims, const std::stop_token& stop) {
  for (auto* each : victims) each->kill();
  pause(stop, 500ms);
  for (auto* each : victims) each->start();
}

}  // namespace

std::vector<fault> all_faults(stage& on, unsigned seed, const narrator& say) {
  std::vector<fault> faults{
      {0.05, "(1) the database goes away",
       [&on](const std::stop_token& stop) { lose_database(on, stop); }},
      {0.20, "(2) service_card fails to create cards",
       [&on](const std::stop_token& stop) {
         refuse_cards(on.cards, "the card printer is out of paper", stop);
       }},
      {0.32, "(3) the broker is stopped when cards are to be published",
       [&on, say](const std::stop_token& stop) { stop_broker_before_cards_leave(on, say, stop); }},
      {0.66, "(4) service_user fails to store cards", [&on](const std::stop_token& stop) {
         refuse_cards(on.users, "the card drawer is jammed", stop);
       }}};

  std::mt19937 luck(seed);
  auto victims = on.everybody();
  for (const double round : {0.10, 0.76, 0.85}) {
    std::ranges::shuffle(victims, luck);
    double when = round;
    for (auto* each : victims) {
      faults.push_back({when, "(5) kill -9 " + each->name(),
                        [each](const std::stop_token& stop) { kill_for_a_moment({each}, stop); }});
      when += 0.02;
    }
  }
  faults.push_back(
      {0.95, "(5) kill -9 both services and both sidecars at once",
       [&on](const std::stop_token& stop) { kill_for_a_moment(on.everybody(), stop); }});
  std::ranges::stable_sort(faults, {}, &fault::when);
  return faults;
}

}  // namespace user_card::demo
