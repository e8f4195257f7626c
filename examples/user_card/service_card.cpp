// service_card hears of users on user_queue, gives each one a card, and tells of it on card_queue.
//
// It never talks to the broker about a card: it writes the card and the event in one transaction,
// and outboxd, running beside it, publishes the event once that transaction has committed.

#include "examples/user_card/consume.hpp"
#include "examples/user_card/service.hpp"

#include <boost/json.hpp>
#include <pqxx/pqxx>

#include <cstdint>
#include <iostream>
#include <string>

namespace {

using namespace user_card;

struct user {
  std::int64_t id;
  std::string name;
  int version;
};

user parse_user(const std::string& body) {
  try {
    const auto json = boost::json::parse(body);
    return {json.at("id").to_number<std::int64_t>(),
            boost::json::value_to<std::string>(json.at("name")),
            json.at("version").to_number<int>()};
  } catch (const std::exception& error) {
    throw malformed(error.what());
  }
}

void remember_user(pqxx::transaction_base& tx, const user& heard) {
  tx.exec_params0("INSERT INTO user_history (user_id, version, name) VALUES ($1, $2, $3)", heard.id,
                  heard.version, heard.name);
  tx.exec_params0(
      "INSERT INTO users (id, name, version) VALUES ($1, $2, $3) "
      "ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version "
      "WHERE users.version < excluded.version",
      heard.id, heard.name, heard.version);
}

std::string handle(pqxx::connection& db, const delivery& message) {
  const user heard = parse_user(message.body);
  say("processing ", message.type, " of user ", heard.id, " (", heard.name, ")");

  pqxx::work tx(db);
  if (!first_time(tx, message)) {
    tx.commit();
    return "seen before: " + message.type + " of user " + std::to_string(heard.id);
  }
  remember_user(tx, heard);
  if (message.type != "user.created") {
    tx.commit();
    return "renamed user " + std::to_string(heard.id);
  }
  const auto card =
      tx.exec_params1("INSERT INTO cards (user_id) VALUES ($1) RETURNING id", heard.id)[0]
          .as<std::int64_t>();
  tx.exec_params0(
      "INSERT INTO outbox.messages (routing_key, type, ordering_key, payload) "
      "VALUES ('card_queue', 'card.created', $2::bigint::text, "
      "        json_build_object('id', $1::bigint, 'user_id', $2::bigint)::text)",
      card, heard.id);
  tx.commit();
  return "created card " + std::to_string(card) + " for user " + std::to_string(heard.id);
}

}  // namespace

int main() try {
  const source users{setting("AMQP_URL"), "user_queue", setting("DATABASE_URL"), "service_card"};
  run_until_signal({[&](const std::stop_token& stop) { consume(stop, users, handle); }});
} catch (const std::exception& error) {
  std::cerr << "service_card: " << error.what() << '\n';
  return 1;
}
