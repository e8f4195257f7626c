#include "outbox/conninfo.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

namespace outboxd::outbox {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class conninfo : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }

 private:
  static void clear() {
    for (const auto* name :
         {"PGCONNECT_TIMEOUT", "PGTARGETSESSIONATTRS", "PGSERVICE", "PGSSLMODE", "PGHOST"})
      ::unsetenv(name);
  }
};

TEST_F(conninfo, adds_limits_where_none_are_given) {
  EXPECT_THAT(
      complete_conninfo("postgresql://db/app", "me"),
      AllOf(HasSubstr("host='db'"), HasSubstr("dbname='app'"), HasSubstr("connect_timeout='5'"),
            HasSubstr("keepalives_idle='10'"), HasSubstr("tcp_user_timeout='10000'"),
            HasSubstr("target_session_attrs='read-write'"),
            HasSubstr("fallback_application_name='me'")));
}

TEST_F(conninfo, the_users_words_win) {
  EXPECT_THAT(
      complete_conninfo("host=db connect_timeout=60 target_session_attrs=any application_name=mine",
                        "me"),
      AllOf(HasSubstr("connect_timeout='60'"), HasSubstr("target_session_attrs='any'"),
            HasSubstr("application_name='mine'"), Not(HasSubstr("read-write"))));
}

TEST_F(conninfo, the_environments_words_win_too) {
  ::setenv("PGCONNECT_TIMEOUT", "60", 1);
  ::setenv("PGTARGETSESSIONATTRS", "primary", 1);
  EXPECT_THAT(complete_conninfo("", "me"),
              AllOf(Not(HasSubstr("connect_timeout")), Not(HasSubstr("target_session_attrs")),
                    HasSubstr("keepalives_idle='10'")));
}

TEST_F(conninfo, a_server_on_another_host_is_verified_unless_told_otherwise) {
  for (const std::string url : {"postgresql://db/app", "host=/run/postgresql,db",
                                "host=db hostaddr=127.0.0.1", "hostaddr=10.0.0.1"}) {
    EXPECT_THAT(complete_conninfo(url, "me"),
                AllOf(HasSubstr("sslmode='verify-full'"), HasSubstr("sslrootcert='")))
        << url;
    EXPECT_EQ(unverified_sslmode(url), "") << url;
  }
  EXPECT_THAT(complete_conninfo("postgresql://db/app?sslrootcert=ours.pem", "me"),
              HasSubstr("sslrootcert='ours.pem'"));
  for (const std::string mode : {"disable", "prefer", "require"}) {
    const std::string url = "postgresql://db/app?sslmode=" + mode;
    EXPECT_THAT(complete_conninfo(url, "me"),
                AllOf(HasSubstr("sslmode='" + mode + "'"), Not(HasSubstr("sslrootcert"))));
    EXPECT_EQ(unverified_sslmode(url), mode);
  }
  EXPECT_EQ(unverified_sslmode("postgresql://db/app?sslmode=verify-ca"), "");
}

TEST_F(conninfo, on_this_host_libpqs_default_is_left) {
  for (const std::string url :
       {"", "dbname=app", "host=/run/postgresql", "postgresql://localhost/app",
        "postgresql://127.0.0.1,[::1]/app", "postgresql://app.localhost/"}) {
    EXPECT_THAT(complete_conninfo(url, "me"), Not(HasSubstr("sslmode"))) << url;
    EXPECT_EQ(unverified_sslmode(url), "") << url;
  }
}

TEST_F(conninfo, the_environment_may_name_the_host_and_how_to_trust_it) {
  ::setenv("PGHOST", "db", 1);
  EXPECT_THAT(complete_conninfo("", "me"), HasSubstr("sslmode='verify-full'"));
  ::setenv("PGSSLMODE", "require", 1);
  EXPECT_THAT(complete_conninfo("", "me"), Not(HasSubstr("sslmode")));
  EXPECT_EQ(unverified_sslmode(""), "require");
}

TEST_F(conninfo, the_file_of_a_service_is_left_to_libpq) {
  EXPECT_THAT(complete_conninfo("service=shop host=db", "me"), Not(HasSubstr("sslmode")));
  EXPECT_EQ(unverified_sslmode("service=shop host=db"), "");
}

TEST_F(conninfo, the_encoding_is_ours) {
  EXPECT_THAT(complete_conninfo("client_encoding=LATIN1", "me"),
              HasSubstr("client_encoding='UTF8'"));
}

TEST_F(conninfo, several_hosts_stay_together) {
  EXPECT_THAT(complete_conninfo("postgresql://a:1,b:2/app", "me"),
              AllOf(HasSubstr("host='a,b'"), HasSubstr("port='1,2'")));
}

TEST_F(conninfo, values_are_quoted) {
  EXPECT_THAT(
      complete_conninfo("postgresql://me:it%27s%5C@db", "a b"),
      AllOf(HasSubstr(R"(password='it\'s\\')"), HasSubstr("fallback_application_name='a b'")));
}

TEST_F(conninfo, a_string_that_cannot_be_parsed_is_not_quoted) {
  for (const std::string url :
       {"postgresql://me:secret@[db", "secret", "host=db password='secret"}) {
    try {
      complete_conninfo(url, "me");
      ADD_FAILURE() << url;
    } catch (const std::invalid_argument& e) {
      EXPECT_THAT(e.what(), Not(HasSubstr("secret")));
    }
  }
}

}  // namespace
}  // namespace outboxd::outbox
