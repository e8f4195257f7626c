// A fresh database, the files that `outboxd migrate print` gives for it, and what outboxd says of
// the database once somebody has applied them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "tests/integration/sql_session.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"

namespace outboxd::tests {

// The parts of postgresql://user:password@host:port/name.
struct database_address {
  std::string user, password, host, port, name;

  explicit database_address(const std::string& url) {
    std::smatch part;
    if (!std::regex_match(url, part,
                          std::regex(R"(postgresql://([^:]+):([^@]+)@([^:]+):(\d+)/([^?]+))"))) {
      throw std::runtime_error("not an address: " + url);
    }
    user = part[1];
    password = part[2];
    host = part[3];
    port = part[4];
    name = part[5];
  }

  std::string with_scheme(const std::string& scheme) const {
    return scheme + "://" + user + ":" + password + "@" + host + ":" + port + "/" + name;
  }
  std::string jdbc() const { return "jdbc:postgresql://" + host + ":" + port + "/" + name; }
};

class printed_schema {
 public:
  explicit printed_schema(const std::string& format, std::vector<std::string> more = {})
      : url_(shared_postgres().create_database()),
        directory_(scratch_directory() / database_address(url_).name) {
    std::vector<std::string> arguments{"migrate", "print",       "--format",
                                       format,    "--directory", directory_.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    outboxd(arguments);
  }

  const std::string& url() const { return url_; }
  database_address address() const { return database_address(url_); }
  const std::filesystem::path& directory() const { return directory_; }

  // As outboxd itself would have made it: every version, every object, every grant; and its login
  // finds everything it needs.
  void expect_as_migrated() const {
    const auto migrated = shared_postgres().create_database();
    outboxd({"migrate", "up"}, migrated);
    EXPECT_EQ(dump(url_), dump(migrated));
    const auto status = outboxd({"migrate", "status"}, url_);
    EXPECT_THAT(status, testing::HasSubstr("1  applied  outbox"));
    EXPECT_THAT(status, testing::Not(testing::HasSubstr("pending")));
    EXPECT_THAT(status, testing::Not(testing::HasSubstr("changed")));

    child_process check({{OUTBOXD_BINARY, "check"}, settings(login_in("outbox_relay"))});
    check.wait(std::chrono::minutes(1));  // there is no broker, which it says too
    EXPECT_THAT(check.out(), testing::ContainsRegex("ok +schema: "));
    EXPECT_THAT(check.out(), testing::ContainsRegex("ok +grant SELECT on messages"));
    EXPECT_THAT(check.out(), testing::Not(testing::ContainsRegex("FAIL +grant")));
  }

  void expect_gone() const {
    EXPECT_EQ(sql_session(url_).must("SELECT to_regnamespace('outbox')"), "null");
  }

  // The address of a login that has that role and no other right.
  std::string login_in(const std::string& role) const {
    auto login = address();
    login.user = role + "_of_" + login.name;
    login.password = "secret";
    sql_session(url_).must("CREATE ROLE " + login.user + " LOGIN PASSWORD 'secret'; GRANT " + role +
                           " TO " + login.user);
    return login.with_scheme("postgresql");
  }

 private:
  static std::map<std::string, std::string> settings(const std::string& url) {
    return {{"OUTBOX_DATABASE_URL", url}, {"OUTBOX_AMQP_URL", "amqp://127.0.0.1:1"}};
  }

  static std::string outboxd(std::vector<std::string> arguments, const std::string& url = "") {
    arguments.insert(arguments.begin(), OUTBOXD_BINARY);
    return run({arguments, settings(url)});
  }

  // Without the lines that differ at every run.
  static std::string dump(const std::string& url) {
    const auto text = run({{"pg_dump", "--schema-only", "--schema=outbox", url}});
    return std::regex_replace(text, std::regex(R"(\n.(un)?restrict [^\n]*)"), "");
  }

  std::string url_;
  std::filesystem::path directory_;
};

}  // namespace outboxd::tests
