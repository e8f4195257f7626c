// Reads both databases: a few counts while the demo runs, every fact at its end. One thread.
#pragma once

#include "examples/user_card/demo/verdict.hpp"

#include <pqxx/pqxx>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace user_card::demo {

struct progress {
  std::int64_t users = 0;          // committed by service_user
  std::int64_t cards_created = 0;  // by service_card
  std::int64_t cards_stored = 0;   // by service_user
  std::int64_t waiting_users = 0;  // in the outbox of service_user
  std::int64_t waiting_cards = 0;  // in the outbox of service_card
  std::int64_t events_told = 0;    // sum of all versions at service_user
  std::int64_t events_heard = 0;   // the same at service_card

  bool operator==(const progress&) const = default;

  // Nothing is on its way any more.
  bool arrived() const {
    return cards_stored == users && events_heard == events_told && waiting_users == 0 &&
           waiting_cards == 0;
  }
};

class ledger {
 public:
  ledger(std::string user_database, std::string card_database);

  // False while a database is away; the counts then stay as they were.
  bool refresh();
  const progress& now() const { return now_; }

  facts all_facts(const std::filesystem::path& service_user_log);

 private:
  pqxx::connection& connected(std::unique_ptr<pqxx::connection>& held, const std::string& url);

  const std::string user_database_;
  const std::string card_database_;
  std::unique_ptr<pqxx::connection> users_;
  std::unique_ptr<pqxx::connection> cards_;
  progress now_;
};

}  // namespace user_card::demo
