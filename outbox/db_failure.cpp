#include "outbox/db_failure.hpp"

#include <new>

#include "base/text.hpp"
#include "outbox/pqxx_compat.hpp"

namespace outboxd::outbox {

db_failure classify(std::string_view code) {
  using enum base::failure_kind;
  const auto is_class = [&](std::string_view prefix) { return code.starts_with(prefix); };

  if (is_class("08")) return {unavailable, true};
  // 57P01 to 57P05: shutdown, crash, cannot connect now, database dropped, idle_session_timeout.
  if (is_class("57P")) return {unavailable, true};
  // We are on a server that became, or always was, a read-only stand-by: connect again, elsewhere.
  if (code == "25006") return {unavailable, true};
  if (code == "25P03") return {unavailable, true};  // idle_in_transaction_session_timeout
  // A prepared statement is gone, or its plan no longer fits the table: only a new session prepares
  // anew.
  if (code == "26000" || code == "0A000") return {unavailable, true};

  // statement_timeout; lock_timeout; serialization failure; deadlock: the same statement may work
  // later.
  if (code == "57014" || code == "55P03" || is_class("40")) return {cancelled, false};
  // A limit that is somebody's intention, such as that of pauses: waiting does not help.
  if (code == "53400") return {rejected, false};
  if (is_class("53")) return {cancelled, false};  // disk full, out of memory, too many connections

  // Undefined schema, table, column, function.
  if (code == "3F000" || code == "42P01" || code == "42703" || code == "42883")
    return {not_ready, false};
  if (code == "42501" || is_class("28")) return {forbidden, false};
  return {rejected, false};
}

std::string undecorated(std::string_view text) {
  std::string out;
  for (const char c : base::one_line(text)) {
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

void expect_utf8(const std::string& server_encoding) {
  if (server_encoding == "UTF8") return;
  throw wrong_encoding("the database's encoding is " + server_encoding +
                       ", and has to be UTF8, or a text that cannot be converted would stop "
                       "everything: make a database with ENCODING 'UTF8' TEMPLATE template0, and "
                       "move what is in this one there (pg_dump, pg_restore)");
}

caught_failure describe_current_exception() {
  try {
    throw;
  } catch (const pqxx::broken_connection& e) {
    return {{base::failure_kind::unavailable, undecorated(e.what())}, true};
  } catch (const pqxx::insufficient_privilege& e) {
    // libpqxx 6.4 forgets the SQLSTATE of this one, and calls the next one no sql_error.
    return {{base::failure_kind::forbidden, undecorated(e.what())}, false};
  } catch (const pqxx::transaction_rollback& e) {
    return {{base::failure_kind::cancelled, undecorated(e.what())}, false};
  } catch (const pqxx::sql_error& e) {
    const auto meaning = classify(e.sqlstate());
    return {{meaning.kind, undecorated(e.what())}, meaning.session_lost};
  } catch (const unusable_server& e) {
    return {{base::failure_kind::not_ready, e.what()}, true};
  } catch (const std::bad_alloc&) {
    return {{base::failure_kind::cancelled, "out of memory"}, false};
  } catch (const std::invalid_argument& e) {
    return {{base::failure_kind::bad_input, undecorated(e.what())}, false};
  } catch (const std::exception& e) {
    return {{base::failure_kind::rejected, undecorated(e.what())}, false};
  }
}

}  // namespace outboxd::outbox
