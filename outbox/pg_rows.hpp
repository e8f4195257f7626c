// Rows of our statements become plain values. Throws std::runtime_error on what cannot be (a column
// that is not what the schema says).
#pragma once

#include <vector>

#include "outbox/pqxx_compat.hpp"
#include "outbox/store.hpp"

namespace outboxd::outbox {

read_answer decode_read(const pqxx::result& rows);
std::uint64_t decode_transaction(const pqxx::result& rows);  // an id, alone
std::int64_t decode_id(const pqxx::result& rows);            // likewise
std::vector<loaded_body> decode_bodies(const pqxx::result& rows);
std::vector<failed_row> decode_failed(const pqxx::result& rows);
std::vector<pause_in_force> decode_pauses(const pqxx::result& rows);
std::vector<row_ref> decode_refs(const pqxx::result& rows);
std::vector<std::int64_t> decode_ids(const pqxx::result& rows);
backlog decode_backlog(const pqxx::result& rows);

struct purge_page {
  std::size_t purged = 0;
  std::size_t seen = 0;
  std::int64_t last_id = 0;
  std::optional<std::int64_t> stays;  // the first of these
  std::size_t young = 0;              // written so lately that none behind them is old enough
};
purge_page decode_purge(const pqxx::result& rows);

}  // namespace outboxd::outbox
