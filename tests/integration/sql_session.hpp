// One connection over plain libpq, for tests that look at what the server says: the name of the
// constraint that refused a row, the SQLSTATE, notifications. Not shared between threads.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd::tests {

struct sql_answer {
  std::string sqlstate;    // empty: success
  std::string constraint;  // which refused, where one did
  std::string message;
  std::vector<std::vector<std::optional<std::string>>> rows;

  bool ok() const { return sqlstate.empty(); }

  // The only value of the only row; "null" for null.
  std::string value() const {
    if (!ok()) throw std::runtime_error(message);
    return rows.at(0).at(0).value_or("null");
  }
};

class sql_session {
 public:
  explicit sql_session(const std::string& uri) : connection_(PQconnectdb(uri.c_str()), &PQfinish) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) throw std::runtime_error(error());
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
  }

  // Of several statements the last one answers.
  sql_answer run(const std::string& sql) {
    const result_ptr r(PQexec(connection_.get(), sql.c_str()), &PQclear);
    return answer(r.get());
  }

  // COPY … FROM STDIN with these lines.
  sql_answer copy_in(const std::string& sql, std::string_view data) {
    const result_ptr begin(PQexec(connection_.get(), sql.c_str()), &PQclear);
    if (PQresultStatus(begin.get()) != PGRES_COPY_IN) return answer(begin.get());
    if (PQputCopyData(connection_.get(), data.data(), static_cast<int>(data.size())) != 1 ||
        PQputCopyEnd(connection_.get(), nullptr) != 1) {
      throw std::runtime_error(error());
    }
    const result_ptr end(PQgetResult(connection_.get()), &PQclear);
    const result_ptr nothing_more(PQgetResult(connection_.get()), &PQclear);
    return answer(end.get());
  }

  // Must succeed; answers with the only value, or "" where there is none.
  std::string must(const std::string& sql) {
    const auto a = run(sql);
    if (!a.ok()) throw std::runtime_error(a.message + " in: " + sql);
    return a.rows.empty() || a.rows[0].empty() ? "" : a.value();
  }

  // Channel and payload of every notification since the last call. The server hands them over
  // before the answer to the next statement, so nothing has to be waited for.
  std::vector<std::string> notifications() {
    must("SELECT 1");
    std::vector<std::string> all;
    for (;;) {
      const std::unique_ptr<PGnotify, decltype(&PQfreemem)> n(PQnotifies(connection_.get()),
                                                              &PQfreemem);
      if (!n) return all;
      all.push_back(std::string(n->relname) + ":" + n->extra);
    }
  }

 private:
  using result_ptr = std::unique_ptr<PGresult, decltype(&PQclear)>;

  std::string error() const { return PQerrorMessage(connection_.get()); }

  sql_answer answer(const PGresult* r) const {
    sql_answer a;
    const auto status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      const auto field = [&](int code) {
        const char* text = PQresultErrorField(r, code);
        return std::string(text == nullptr ? "" : text);
      };
      a.sqlstate = field(PG_DIAG_SQLSTATE);
      if (a.sqlstate.empty()) throw std::runtime_error("not an answer of the server: " + error());
      a.constraint = field(PG_DIAG_CONSTRAINT_NAME);
      a.message = field(PG_DIAG_MESSAGE_PRIMARY);
      return a;
    }
    for (int row = 0; row < PQntuples(r); ++row) {
      auto& values = a.rows.emplace_back();
      for (int column = 0; column < PQnfields(r); ++column) {
        if (PQgetisnull(r, row, column) != 0) {
          values.emplace_back(std::nullopt);
        } else {
          values.emplace_back(PQgetvalue(r, row, column));
        }
      }
    }
    return a;
  }

  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

}  // namespace outboxd::tests
