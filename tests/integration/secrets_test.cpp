// Wherever a secret comes from and whatever goes wrong with it, it is in nothing that the program
// shows: log lines at debug level, HTTP, its command line, the output of its verbs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/certificates.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using environment = std::map<std::string, std::string>;

struct place {
  std::string name, text;
};
using places = std::vector<place>;

environment at_debug(environment env) {
  env.insert({{"OUTBOX_LOG_LEVEL", "debug"}, {"OUTBOX_HTTP_LISTEN", "127.0.0.1:0"}});
  return env;
}

void look_at_verbs(const environment& env, places& shown) {
  using arguments = std::vector<std::string>;
  for (const arguments& verb : {arguments{"config"},
                                {"-o", "json", "config"},
                                {"check"},
                                {"-o", "json", "check"},
                                {"migrate", "status"},
                                {"dead", "list"},
                                {"status"},
                                {"healthcheck"}}) {
    arguments argv{OUTBOXD_BINARY};
    argv.insert(argv.end(), verb.begin(), verb.end());
    child_process child({argv, at_debug(env)});
    if (!child.wait(60s)) throw std::runtime_error(verb.back() + " does not end");
    shown.push_back({testing::PrintToString(verb), child.out() + child.err()});
  }
}

void look_at_process(const sidecar& relay, places& shown) {
  for (const std::string path : {"/metrics", "/readyz?verbose", "/readyz", "/livez", "/"})
    shown.push_back({path, relay.get(path)});
  shown.push_back({"cmdline", file_content("/proc/" + std::to_string(relay.pid()) + "/cmdline")});
  shown.push_back({"log", relay.log()});
}

void expect_nowhere(const std::vector<std::string>& secrets, const places& shown) {
  for (const auto& [name, text] : shown) {
    EXPECT_FALSE(text.empty()) << name << " shows nothing at all";
    for (const auto& secret : secrets) EXPECT_THAT(text, Not(HasSubstr(secret))) << name;
  }
}

std::string file_with(const std::string& name, const std::string& secret) {
  const auto file = scratch_directory() / name;
  replace_file(file, secret + "\n");
  return file.string();
}

std::string password_in(const std::string& url) {
  const auto begin = url.find(':', url.find("//")) + 1;
  return url.substr(begin, url.find('@') - begin);
}

// The URL with another password.
std::string with_secret(std::string url, const std::string& secret) {
  return url.replace(url.find(password_in(url) + "@"), password_in(url).size(), secret);
}

class secrets : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
};

struct failing_case {
  std::string name;
  environment env;
  std::vector<std::string> hidden{"verysecret"};
};

TEST_F(secrets, are_shown_nowhere_while_no_server_takes_them) {
  const std::string db_secret = with_secret(db.url(), "verysecret"),
                    amqp_secret = with_secret(amqp_url, "verysecret");
  const auto plain_port = "localhost:" + std::to_string(shared_rabbitmq().port());
  const std::vector<failing_case> cases{
      {"wrong ones in the URLs",
       {{"OUTBOX_DATABASE_URL", db_secret},
        {"OUTBOX_MIGRATE_DATABASE_URL", db_secret},
        {"OUTBOX_AMQP_URL", amqp_secret}}},
      {"wrong ones in files",
       {{"OUTBOX_DATABASE_URL_FILE", file_with("wrong.db", db_secret)},
        {"OUTBOX_AMQP_URL", amqp_url},
        {"OUTBOX_AMQP_PASSWORD_FILE", file_with("wrong.amqp", "verysecret")}}},
      {"wrong ones beside the URL",
       {{"DATABASE_URL", db_secret},
        {"OUTBOX_AMQP_URL", amqp_url},
        {"OUTBOX_AMQP_USERNAME", "somebody"},
        {"OUTBOX_AMQP_PASSWORD", "verysecret"}}},
      {"percent-encoded",
       {{"OUTBOX_DATABASE_URL", with_secret(db.url(), "very%2Fsecret%40")},
        {"OUTBOX_AMQP_URL", with_secret(amqp_url, "very%2Fsecret%40")}},
       {"very%2Fsecret%40", "very/secret@"}},
      {"keys and values, and nobody there",
       {{"OUTBOX_DATABASE_URL",
         "host=127.0.0.1 port=1 user=u password=verysecret sslpassword=verysecret2"},
        {"OUTBOX_AMQP_URL", "amqp://u:verysecret@127.0.0.1:1,amqp://u:verysecret@127.0.0.1:2"}}},
      {"a host that does not resolve, on another host",
       {{"OUTBOX_DATABASE_URL", "postgresql://u:verysecret@none.invalid/x?sslmode=disable"},
        {"OUTBOX_AMQP_URL", "amqp://u:verysecret@none.invalid"}}},
      {"TLS where there is none",
       {{"OUTBOX_DATABASE_URL", db_secret + "?sslmode=verify-full"},
        {"OUTBOX_AMQP_URL", "amqps://u:verysecret@" + plain_port}}},
      {"a vhost that is not there",
       {{"OUTBOX_DATABASE_URL", db.url() + "_not_there"},
        {"OUTBOX_AMQP_URL", amqp_url + "_not_there"}},
       {password_in(db.url()), password_in(amqp_url)}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    sidecar relay("", "", at_debug(c.env));
    EXPECT_TRUE(eventually(60s, [&] {
      return relay.logged("amqp.connect_failed") || relay.logged("lead.state");
    })) << relay.log();
    EXPECT_TRUE(eventually(60s, [&] {
      return relay.get("/readyz?verbose").find("[-]database") != std::string::npos;
    })) << relay.get("/readyz?verbose");
    places shown;
    look_at_process(relay, shown);
    look_at_verbs(c.env, shown);
    expect_nowhere(c.hidden, shown);
  }
}

TEST_F(secrets, are_shown_nowhere_while_everything_works) {
  const environment env{{"OUTBOX_DATABASE_URL_FILE", file_with("right.db", db.url())},
                        {"OUTBOX_AMQP_URL", amqp_url},
                        {"OUTBOX_ADMIN_TOKEN", "verysecret"}};
  sidecar relay("", amqp_url, at_debug(env));
  relay.await_ready();
  db.run("INSERT INTO \"outbox\".messages (routing_key, payload) VALUES ('nowhere', 'verysecret')");
  ASSERT_TRUE(eventually(30s, [&] { return relay.logged("row.failed"); })) << relay.log();
  shared_rabbitmq().ctl({"close_all_user_connections", "outboxd", "look"});
  ASSERT_TRUE(eventually(30s, [&] { return relay.logged("amqp.disconnected"); })) << relay.log();
  relay.await_ready();
  places shown;
  look_at_process(relay, shown);
  look_at_verbs(env, shown);
  expect_nowhere({password_in(db.url()), password_in(amqp_url), "verysecret"}, shown);
}

TEST_F(secrets, are_shown_nowhere_when_the_settings_are_refused) {
  const std::vector<environment> refused{
      {{"OUTBOX_ADMIN_TOKEN", "verysecret"}, {"OUTBOX_ADMIN_TOKEN_FILE", "/none"}},
      {{"OUTBOX_ADMIN_TOKEN", "verysecret"}, {"OUTBOX_BATCH_SIZE", "0"}},
      {{"OUTBOX_AMQP_URL", "amqp://u:verysecret@host:port"}},
      {{"OUTBOX_AMQP_URL", "amqp://u:very#verysecret@host"}},
      {{"OUTBOX_AMQP_URL", "amqp://u:a/verysecret@host?x=y"}},
      {{"OUTBOX_AMQP_URL", "amqp://u:verysecret@host,verysecret"}},
      {{"OUTBOX_AMQP_URL", "amqps://u:verysecret@host?password=verysecret"}},
      {{"OUTBOX_AMQP_PASSWORD", "verysecret"}, {"OUTBOX_AMQP_PASSWORD_FILE", "/none"}},
      {{"OUTBOX_DATABASE_URL", "postgresql://u:verysecret@[host"}, {"OUTBOX_BATCH_SIZE", "0"}},
  };
  for (const auto& env : refused) {
    SCOPED_TRACE(testing::PrintToString(env));
    child_process run({{OUTBOXD_BINARY, "run"}, at_debug(env)});
    EXPECT_EQ(run.wait(60s), (exit_status{78, 0}));
    places shown{{"run", run.out() + run.err()}};
    look_at_verbs(env, shown);
    expect_nowhere({"verysecret"}, shown);
  }
}

}  // namespace
}  // namespace outboxd::tests
