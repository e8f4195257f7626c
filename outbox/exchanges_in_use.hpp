// Which exchanges the rows of the table name, for `outboxd check`. Opens a connection of its own,
// blocks, closes it; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "outbox/pg_check.hpp"

namespace outboxd::outbox {

struct exchange_in_use {
  std::string name;      // empty: the default exchange
  bool awaited = false;  // by rows that are not sent yet
};

// Of at most five times 5,000 rows, so that it costs the same whatever the table holds: of the
// newest ones that are not dead, of those that have waited for longest and shortest, of those that
// failed last and of those that are due next. The awaited ones first, then by name.
base::result<std::vector<exchange_in_use>> exchanges_in_use(const check_options& options);

// $1 rows of each kind.
std::string exchanges_in_use_sql(const std::string& schema);

}  // namespace outboxd::outbox
