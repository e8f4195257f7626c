#include "examples/user_card/demo/ledger.hpp"

#include <fstream>
#include <regex>

namespace user_card::demo {
namespace {

constexpr auto count_users =
    "SELECT (SELECT count(*) FROM users), (SELECT coalesce(sum(version), 0) FROM users),"
    "       (SELECT count(*) FROM cards),"
    "       (SELECT count(*) FROM outbox.messages WHERE status IN ('pending', 'deferred'))";

// Summed over the history, so that a rename that was overtaken still counts as heard.
constexpr auto count_cards =
    "SELECT (SELECT count(*) FROM cards), (SELECT count(*) FROM users),"
    "       (SELECT count(*) FROM user_history),"
    "       (SELECT count(*) FROM outbox.messages WHERE status IN ('pending', 'deferred'))";

std::int64_t number(pqxx::transaction_base& tx, const char* query) {
  return tx.exec1(query)[0].as<std::int64_t>();
}

std::map<std::int64_t, user> read_users(pqxx::transaction_base& tx) {
  std::map<std::int64_t, user> users;
  for (const auto& row : tx.exec("SELECT id, name, version FROM users"))
    users[row[0].as<std::int64_t>()] = {row[1].as<std::string>(), row[2].as<int>()};
  return users;
}

std::vector<card> read_cards(pqxx::transaction_base& tx) {
  std::vector<card> cards;
  for (const auto& row : tx.exec("SELECT id, user_id FROM cards"))
    cards.push_back({row[0].as<std::int64_t>(), row[1].as<std::int64_t>()});
  return cards;
}

std::vector<heard> read_history(pqxx::transaction_base& tx) {
  std::vector<heard> history;
  for (const auto& row :
       tx.exec("SELECT user_id, version, name FROM user_history ORDER BY position"))
    history.push_back({row[0].as<std::int64_t>(), row[1].as<int>(), row[2].as<std::string>()});
  return history;
}

// What both databases have: an inbox and an outbox.
void add_common(pqxx::transaction_base& tx, facts& found) {
  found.duplicates += number(tx, "SELECT coalesce(sum(duplicates), 0) FROM inbox");
  found.waiting +=
      number(tx, "SELECT count(*) FROM outbox.messages WHERE status IN ('pending', 'deferred')");
  found.dead_rows += number(tx, "SELECT count(*) FROM outbox.messages WHERE status = 'dead'");
}

// The names that service_user used in transactions which it then rolled back. They are known from
// its log only: a rollback leaves nothing in the database.
std::set<std::string> read_rolled_back(const std::filesystem::path& log) {
  static const std::regex line("rolling back user [0-9]+ \\((.*)\\)");
  std::set<std::string> names;
  std::ifstream file(log);
  for (std::string text; std::getline(file, text);)
    if (std::smatch match; std::regex_search(text, match, line)) names.insert(match[1]);
  return names;
}

}  // namespace

ledger::ledger(std::string user_database, std::string card_database)
    : user_database_(std::move(user_database)), card_database_(std::move(card_database)) {}

bool ledger::refresh() {
  try {
    pqxx::read_transaction users(connected(users_, user_database_));
    pqxx::read_transaction cards(connected(cards_, card_database_));
    const auto told = users.exec1(count_users);
    const auto made = cards.exec1(count_cards);
    now_ = {.users = told[0].as<std::int64_t>(),
            .cards_created = made[0].as<std::int64_t>(),
            .cards_stored = told[2].as<std::int64_t>(),
            .waiting_users = told[3].as<std::int64_t>(),
            .waiting_cards = made[3].as<std::int64_t>(),
            .events_told = told[1].as<std::int64_t>(),
            .events_heard = made[2].as<std::int64_t>()};
    return true;
  } catch (const pqxx::failure&) {
    users_.reset();
    cards_.reset();
    return false;
  }
}

facts ledger::all_facts(const std::filesystem::path& service_user_log) {
  facts found;
  pqxx::read_transaction users(connected(users_, user_database_));
  found.users = read_users(users);
  found.saved_cards = read_cards(users);
  add_common(users, found);
  pqxx::read_transaction cards(connected(cards_, card_database_));
  found.copies = read_users(cards);
  found.created_cards = read_cards(cards);
  found.history = read_history(cards);
  add_common(cards, found);
  found.rolled_back = read_rolled_back(service_user_log);
  return found;
}

pqxx::connection& ledger::connected(std::unique_ptr<pqxx::connection>& held,
                                    const std::string& url) {
  if (!held) held = std::make_unique<pqxx::connection>(url);
  return *held;
}

}  // namespace user_card::demo
