// Writes that go past rows which somebody else's transaction holds. The statement is first run as
// it is, which costs nothing; once it has met a lock (lock_timeout), the rows that are held are
// looked for and left out, and for a while before each statement, so that one lock costs one wait.
// Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "outbox/message.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {

class locked_rows {
 public:
  using clock = std::chrono::steady_clock;

  // `rows`: all that `write` writes. write: leaves out the rows it is given, which are locked.
  // Answers with those. Throws what write throws; of locks, only where they are not on rows.
  std::vector<row_ref> write_others(
      session& db, const statement& locked, const std::vector<row_ref>& rows,
      const std::function<void(const std::vector<row_ref>& locked)>& write);

 private:
  clock::time_point expected_until_{};
};

}  // namespace outboxd::outbox
