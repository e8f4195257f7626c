// Services as they are in life: several threads with a connection each, that write rows of all
// kinds in transactions that commit, roll back, roll back in part or commit late, and that survive
// a lost database. What became of a transaction is read from a ledger that it commits to itself, so
// a COMMIT without an answer leaves no doubt at the end.
#pragma once

#include "tests/chaos/row_maker.hpp"
#include "tests/chaos/timeline.hpp"

#include <pqxx/pqxx>

#include <atomic>
#include <list>
#include <set>
#include <string>
#include <thread>

namespace outboxd::chaos {

struct writer_options {
  std::string database_url;
  std::uint64_t seed = 0;
  int count = 4;              // the last one commits asynchronously
  int rows_per_second = 300;  // all together, more or less
  row_limits limits = {};
};

class writers {
 public:
  // Makes the ledger, and starts.
  writers(writer_options chosen, const timeline& clock);
  ~writers();

  // All of them end with the timeline. Then this says what they wrote and what became of it.
  std::vector<written_row> finish();
  std::size_t in_doubt() const { return in_doubt_; }  // COMMITs without an answer
  std::size_t rows() const { return rows_; }          // so far, committed or not

 private:
  struct attempt {
    std::int64_t transaction = 0;
    bool undone = false;  // by a savepoint
    bool forgettable = false;
    written_row row = {};
  };
  struct writer {
    int number = 0;
    luck chance;
    row_maker maker;
    std::int64_t transaction = 0;
    std::vector<attempt> attempts = {};
    std::thread thread = {};
  };

  void run(writer& me);
  void write_until_disturbed(writer& me);
  void write_one(writer& me, pqxx::connection& database);
  attempt insert(writer& me, pqxx::transaction_base& tx, const std::string& shared_key);
  std::set<std::pair<int, std::int64_t>> ledger();

  const writer_options options_;
  const timeline& clock_;
  std::atomic<std::size_t> in_doubt_{0}, rows_{0};
  std::list<writer> all_;
};

}  // namespace outboxd::chaos
