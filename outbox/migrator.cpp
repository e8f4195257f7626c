#include "outbox/migrator.hpp"

#include <algorithm>
#include <string_view>

#include "outbox/conninfo.hpp"
#include "outbox/db_failure.hpp"
#include "outbox/open_connection.hpp"
#include "outbox/pqxx_compat.hpp"

namespace outboxd::outbox {

namespace {

using base::failure;
using base::failure_kind;

constexpr int max_tries = 12;

// lock_timeout: an ALTER that waits for a table lock makes everybody else wait behind it, so it
// gives up and comes again. statement_timeout: a limit meant for the service must not end an index
// build. search_path: nothing of the user's may stand in for a built-in function.
constexpr std::string_view session_sql =
    "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0;"
    " SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL client_min_messages = warning";

// Released with the transaction, so a process that dies in the middle holds up nobody.
constexpr std::string_view lock_sql =
    R"(SELECT pg_advisory_xact_lock(hashtext('outboxd migrate'), hashtext('"outbox"')))";

constexpr std::string_view has_history_sql =
    R"(SELECT to_regclass('"outbox".schema_version') IS NOT NULL)";

constexpr std::string_view history_sql =
    "SELECT version, title, checksum, to_char(applied_at AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    R"( applied_by FROM "outbox".schema_version ORDER BY version)";

schema_names names_of(const migrate_options& o) {
  return {o.schema, o.roles};
}

// An expected failure on its way out of a transaction.
struct refusal {
  failure why;
};

// One connection and what is done with it. Throws.
class migration_session {
 public:
  migration_session(const migrate_options& options, migration_files files)
      : names_(names_of(options)),
        files_(files),
        connection_(open_connection(complete_conninfo(options.url, "outboxd migrate"))) {
    compat::never_reconnect(connection_);
    if (const int version = connection_.server_version(); version < 140000) {
      throw refusal{{failure_kind::rejected, "PostgreSQL 14 or newer is needed, this is " +
                                                 std::to_string(version / 10000)}};
    }
  }

  std::vector<recorded_version> history() {
    pqxx::work tx(connection_);
    return history(tx);
  }

  // Of the database; throws.
  void check_encoding() {
    pqxx::work tx(connection_);
    expect_utf8(tx.exec("SELECT pg_catalog.current_setting('server_encoding')")[0][0].c_str());
  }

  // False when nothing was left to apply; `applied` and `version` tell what was.
  bool apply_next(migrate_report& report) {
    pqxx::work tx(connection_);
    begin(tx);
    const auto before = history(tx);
    const auto plan = next_file(before, files_);
    if (!plan) throw refusal{plan.error()};
    const auto* const next = *plan;
    if (next == nullptr) {
      report.version = before.back().version;
      return false;
    }
    run(tx, next->up);
    run(tx, record_sql(*next));
    tx.commit();
    report.version = next->version;
    report.applied.push_back(next->version);
    return true;
  }

  // Answers with the files that this login was not allowed to run.
  std::string grant() {
    pqxx::work tx(connection_);
    begin(tx);
    std::string refused;
    for (const auto& role : role_files()) {
      if (!try_to_run(tx, role.sql) || !may_use_schema(tx, role.name)) {
        refused += fill_in(role.sql, names_) + "\n";
      }
    }
    tx.commit();
    return refused;
  }

 private:
  void begin(pqxx::work& tx) {
    tx.exec(std::string(session_sql));
    run(tx, lock_sql);
  }

  pqxx::result run(pqxx::transaction_base& tx, std::string_view sql) {
    return tx.exec(fill_in(sql, names_));
  }

  std::vector<recorded_version> history(pqxx::work& tx) {
    std::vector<recorded_version> versions;
    if (!run(tx, has_history_sql)[0][0].as<bool>()) return versions;
    for (const auto& row : run(tx, history_sql)) {
      versions.push_back({row[0].as<int>(), row[1].as<std::string>(), row[2].as<std::string>(),
                          row[3].as<std::string>(), row[4].as<std::string>()});
    }
    return versions;
  }

  bool try_to_run(pqxx::work& tx, std::string_view sql) {
    try {
      pqxx::subtransaction part(tx);
      run(part, sql);
      part.commit();
      return true;
    } catch (const pqxx::insufficient_privilege&) {
      return false;
    }
  }

  // A GRANT on a schema of someone else's only warns that it granted nothing.
  bool may_use_schema(pqxx::work& tx, std::string_view role) {
    return run(tx, "SELECT has_schema_privilege(to_regrole('" + std::string(role) +
                       R"('), to_regnamespace('"outbox"'), 'USAGE'))")[0][0]
        .as<bool>();
  }

  schema_names names_;
  migration_files files_;
  pqxx::connection connection_;
};

// Lock timeout; and a role that another database's migration made at the same moment.
bool worth_another_try(const pqxx::sql_error& e) {
  const std::string& code = e.sqlstate();
  return code == "55P03" || code == "42710" || code == "23505";
}

template <typename Step>
auto with_retries(Step step) {
  for (int tries = 1;; ++tries) {
    try {
      return step();
    } catch (const pqxx::transaction_rollback&) {  // deadlock, serialization failure
      if (tries == max_tries) throw;
    } catch (const pqxx::sql_error& e) {
      if (tries == max_tries || !worth_another_try(e)) throw;
    }
  }
}

// Exceptions stay on this side.
template <typename T, typename Work>
base::result<T> guarded(const migrate_options& options, Work work) {
  if (auto valid = validate(names_of(options)); !valid) return valid.error();
  try {
    return work();
  } catch (const refusal& r) {
    return r.why;
  } catch (...) {
    return describe_current_exception().failure;
  }
}

}  // namespace

base::result<migrate_report> up(const migrate_options& options, migration_files files) {
  return guarded<migrate_report>(options, [&] {
    migration_session session(options, files);
    session.check_encoding();
    migrate_report report;
    while (with_retries([&] { return session.apply_next(report); })) {
    }
    report.grants_to_run = with_retries([&] { return session.grant(); });
    return report;
  });
}

base::result<std::vector<migration_state>> status(const migrate_options& options,
                                                  migration_files files) {
  return guarded<std::vector<migration_state>>(options, [&] {
    std::vector<migration_state> states;
    for (auto& h : migration_session(options, files).history()) {
      states.push_back({h.version, h.title, compare(h, files), h.applied_at, h.applied_by});
    }
    for (const auto& m : files) {
      if (std::ranges::find(states, m.version, &migration_state::version) == states.end()) {
        states.push_back({m.version, std::string(m.title), migration_status::pending, "", ""});
      }
    }
    std::ranges::sort(states, {}, &migration_state::version);
    return states;
  });
}

}  // namespace outboxd::outbox
