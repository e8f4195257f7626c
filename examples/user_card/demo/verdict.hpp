// Did the promises hold? Pure: what was found in both databases goes in, the counts come out.
// A fact that should not be possible is counted, never assumed away.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace user_card::demo {

struct user {
  std::string name;
  int version = 0;
};

struct card {
  std::int64_t id = 0;
  std::int64_t user_id = 0;
};

// One event about a user, as service_card handled it.
struct heard {
  std::int64_t user_id = 0;
  int version = 0;
  std::string name;
};

struct facts {
  std::map<std::int64_t, user> users;   // service_user: what was committed
  std::vector<card> saved_cards;        // service_user: what came back
  std::map<std::int64_t, user> copies;  // service_card: its copy of the users
  std::vector<card> created_cards;      // service_card
  std::vector<heard> history;           // service_card: in the order of handling
  std::set<std::string> rolled_back;    // names, each used by one transaction only
  std::int64_t duplicates = 0;          // deliveries that an inbox knew already
  std::int64_t waiting = 0;             // rows not yet sent, in both outboxes
  std::int64_t dead_rows = 0;           // in both outboxes
  std::int64_t dead_letters = 0;        // messages that a service rejected
};

struct verdict {
  std::int64_t users_committed = 0;
  std::int64_t rolled_back = 0;
  std::int64_t cards_stored = 0;
  std::int64_t lost = 0;           // users without exactly one card on both sides, or out of date
  std::int64_t phantom = 0;        // traces of users or names that were never committed
  std::int64_t duplicates = 0;     // absorbed
  std::int64_t handled_twice = 0;  // not absorbed
  std::int64_t out_of_order = 0;   // events of a user handled after a later one
  std::int64_t waiting = 0;
  std::int64_t dead = 0;  // rows or messages given up

  bool holds() const;
};

verdict judge(const facts& found);

}  // namespace user_card::demo
