// A fresh database with the outbox in it, and a connection of the test's own to it. The server is
// the shared one of the test process.
#pragma once

#include <pqxx/pqxx>

#include <string>

#include "outbox/message.hpp"
#include "tests/support/store_harness.hpp"

namespace outboxd::tests {

class outbox_database {
 public:
  explicit outbox_database(std::string schema = "outbox");

  const std::string& url() const { return url_; }
  const std::string& schema() const { return schema_; }

  // A statement of the test's own, with "outbox" in double quotes for the schema.
  pqxx::result run(const std::string& sql);
  // One value, as text.
  std::string value(const std::string& sql);

  outbox::row_ref insert(pqxx::transaction_base& tx, const outbox::message& row,
                         std::optional<time_point> not_before = {});

 private:
  std::string schema_;
  std::string url_;
  pqxx::connection connection_;
};

}  // namespace outboxd::tests
