#include "outbox/pg_locks.hpp"

#include <algorithm>

#include "outbox/pg_binary.hpp"
#include "outbox/pg_rows.hpp"

namespace outboxd::outbox {
namespace {

// Longer than whoever asks waits before he asks again.
constexpr auto expect_more = std::chrono::seconds(10);

bool met_a_lock(const pqxx::sql_error& e) {
  return e.sqlstate() == "55P03";
}

std::vector<row_ref> look_for(session& db, const statement& locked,
                              const std::vector<row_ref>& rows) {
  std::vector<std::int64_t> ids = decode_ids(db.run(locked, ids_of(rows)));
  std::ranges::sort(ids);
  std::vector<row_ref> found;
  std::ranges::copy_if(rows, std::back_inserter(found),
                       [&](const row_ref& ref) { return std::ranges::binary_search(ids, ref.id); });
  return found;
}

}  // namespace

std::vector<row_ref> locked_rows::write_others(
    session& db, const statement& locked, const std::vector<row_ref>& rows,
    const std::function<void(const std::vector<row_ref>& locked)>& write) {
  if (clock::now() >= expected_until_) {
    try {
      write({});
      return {};
    } catch (const pqxx::sql_error& e) {
      if (!met_a_lock(e)) throw;
    }
  }
  auto found = look_for(db, locked, rows);
  if (!found.empty()) expected_until_ = clock::now() + expect_more;
  if (found.size() < rows.size()) write(found);
  return found;
}

}  // namespace outboxd::outbox
