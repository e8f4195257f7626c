// A row that somebody else has locked: what comes to it waits.
#pragma once

#include <pqxx/pqxx>

#include <string>

namespace outboxd::tests {

class locked_row {
 public:
  locked_row(const std::string& url, int id) : holder_(url), watcher_(url), lock_(holder_) {
    lock_.exec("SELECT id FROM outbox.messages WHERE id = " + std::to_string(id) + " FOR UPDATE");
  }

  // By a session of that name.
  bool is_waited_for(const std::string& application) {
    pqxx::nontransaction tx(watcher_);
    return !tx.exec(
                  "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
                  " current_database() AND application_name = " +
                  tx.quote(application))
                .empty();
  }
  void release() { lock_.abort(); }

 private:
  pqxx::connection holder_, watcher_;
  pqxx::work lock_;
};

}  // namespace outboxd::tests
