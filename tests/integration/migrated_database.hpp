// A fresh database with the schema applied, and sessions in it.
#pragma once

#include <string>

#include "outbox/migrator.hpp"
#include "tests/integration/sql_session.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {

class migrated_database {
 public:
  explicit migrated_database(outbox::migrate_options options = {})
      : uri_(options.url.empty() ? shared_postgres().create_database() : options.url) {
    options.url = uri_;
    outbox::up(options).value();
  }

  const std::string& uri() const { return uri_; }

  sql_session owner() const { return sql_session(uri_); }

  sql_session as(const std::string& role) const {
    sql_session session(uri_);
    session.must("SET ROLE \"" + role + "\"");
    return session;
  }

  sql_session writer() const { return as("outbox_writer"); }

 private:
  std::string uri_;
};

}  // namespace outboxd::tests
