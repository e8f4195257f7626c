// The services that write rows, and the operators who look after those that failed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/luck.hpp"
#include "tests/simulation/model_broker.hpp"
#include "tests/simulation/model_table.hpp"

namespace outboxd::simulation {

struct habits {
  int keys = 5;
  int keyed = 70;             // per cent
  int inserts = 30;           // per cent, each open transaction, each step
  int commits = 15;           // per cent likewise
  int rollbacks = 20;         // per cent of the transactions
  int scheduled = 5;          // per cent of the rows
  int optional = 5;           // per cent of the rows are not mandatory
  int large = 10;             // per cent: the body does not come with the row
  int asynchronous = 0;       // per cent of the transactions do not wait for the disk
  int poison = 0;             // per mille of the rows: refused, invalid, too large
  int never_routes = 0;       // per mille
  int early_ids = 0;          // per mille: drawn before the transaction has begun
  int operators = 0;          // per mille, each step: a failed row is sent again or discarded
  int pauses = 0;             // per mille, each step: something is paused, or goes on
  std::size_t too_large = 0;  // bytes that are more than OUTBOX_MAX_MESSAGE_SIZE
  std::chrono::milliseconds too_far{0};
};

class services {
 public:
  services(luck& luck, const clock& clock, model_table& table, const habits& habits)
      : luck_(luck), clock_(clock), table_(table), habits_(habits) {}

  // Writes, and perhaps ends transactions; true when something was committed.
  bool step();
  bool end_all();
  // One good row to every destination: the services go on.
  void go_on();
  void crashed() {
    transactions_.clear();
    drawn_early_.clear();
  }
  void operators_step();
  void pauses_step();

  static const std::vector<model_broker::destination>& destinations();

 private:
  struct transaction {
    model_table::xid id;
    std::set<std::string> locked;  // keys
  };

  bool is_locked(const std::string& key) const;
  void insert(transaction& t);
  bool end(const transaction& t);
  nature any_nature();

  luck& luck_;
  const clock& clock_;
  model_table& table_;
  habits habits_;
  std::vector<transaction> transactions_;
  std::vector<std::int64_t> drawn_early_;
};

}  // namespace outboxd::simulation
