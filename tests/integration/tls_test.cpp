// TLS to both servers, in every way it can go wrong: each is refused, and `outboxd check` and the
// log say which it was and what to do. The certificates and their authorities are the test's own.
#include <utility>
#include <vector>

#include "tests/integration/database_fault.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/tls_servers.hpp"

namespace outboxd::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Whom the servers let in, and who signs their certificates; and somebody else who would like to.
struct authorities {
  authority servers{"servers"}, clients{"clients"}, others{"others"};
};

const authorities& signers() {
  static const authorities all;
  return all;
}

const certificate& own() {
  static const certificate made = signers().clients.certify("card-service");
  return made;
}

std::string check(const std::string& database, const std::string& broker) {
  child_process child({{OUTBOXD_BINARY, "check"},
                       {{"OUTBOX_DATABASE_URL", database}, {"OUTBOX_AMQP_URL", broker}}});
  if (!child.wait(60s)) throw std::runtime_error("check does not end");
  return child.out() + child.err();
}

// The line of one check.
std::string line_of(const std::string& what, const std::string& output) {
  const auto at = output.find("  " + what);
  if (at == std::string::npos) return output;
  const auto begin = output.rfind('\n', at) + 1;
  return output.substr(begin, output.find('\n', at) - begin);
}

// What a server is told to present it does a moment later.
void expect_line(const std::string& name, const std::vector<std::string>& words,
                 const std::function<std::string()>& line) {
  std::string last;
  const auto has_all = [&] {
    last = line();
    return std::ranges::all_of(
        words, [&](const std::string& w) { return last.find(w) != std::string::npos; });
  };
  EXPECT_TRUE(eventually(60s, has_all))
      << name << ": not " << testing::PrintToString(words) << " but: " << last;
}

struct tls_case {
  std::string name;
  certificate server;
  std::string with;  // added to the URL
  std::vector<std::string> says;
};

// ---- the broker

class tls : public database_fault {
 protected:
  static void SetUpTestSuite() {
    database_fault::SetUpTestSuite();
    broker_side_ =
        std::make_unique<tls_rabbitmq>(signers().servers.certify("localhost"), signers().clients);
    shared_rabbitmq().ctl({"add_user", "card-service", "unused"});
    database_side_ =
        std::make_unique<tls_postgres>(signers().servers.certify("db.example"), signers().clients);
    pqxx::connection connection(shared_postgres().uri("postgres"));
    pqxx::nontransaction tx(connection);
    tx.exec("CREATE ROLE certified");
    tx.exec("CREATE ROLE \"card-service\" LOGIN IN ROLE certified");
  }
  static void TearDownTestSuite() {
    broker_side_.reset();
    database_side_.reset();
  }

  std::string vhost() const { return amqp_url.substr(amqp_url.rfind('/') + 1); }

  std::string amqps(const std::string& query, int port = broker_side_->port()) const {
    const auto login = amqp_url.substr(7, amqp_url.find('@') - 7);
    return "amqps://" + login + "@localhost:" + std::to_string(port) + "/" + vhost() + "?" + query;
  }
  // The name is verified, the address connected to.
  std::string database(const std::string& more) const {
    return "host=db.example hostaddr=127.0.0.1 port=" + std::to_string(shared_postgres().port()) +
           " dbname=" + db.url().substr(db.url().rfind('/') + 1) + " " + more;
  }
  std::string superuser() const {
    const auto begin = db.url().find("postgres:", 13) + 9;
    return "user=postgres password=" + db.url().substr(begin, db.url().find('@') - begin) + " ";
  }

  static std::unique_ptr<tls_rabbitmq> broker_side_;
  static std::unique_ptr<tls_postgres> database_side_;
};

std::unique_ptr<tls_rabbitmq> tls::broker_side_;
std::unique_ptr<tls_postgres> tls::database_side_;

const std::string nowhere = "amqp://127.0.0.1:1";
const std::string no_database = "postgresql://127.0.0.1:1/none";

std::string client(const certificate& c) {
  return "&certfile=" + c.chain_file + "&keyfile=" + c.key_file;
}

TEST_F(tls, a_broker_is_verified_and_what_is_wrong_is_said) {
  shared_rabbitmq().ctl({"set_permissions", "-p", vhost(), "card-service", "", ".*", ""});
  const auto& [servers, clients, others] = signers();
  const auto good = servers.certify("localhost"), misnamed = servers.certify("rabbit.example"),
             alone = self_signed("localhost");
  const std::string known = "cacertfile=" + servers.file(), us = client(own());
  const std::vector<tls_case> cases{
      {"all is well", good, known + us, {"ok    "}},
      {"wrong authority",
       good,
       "cacertfile=" + others.file() + us,
       {"FAIL", "signed by an unknown authority", "cacertfile"}},
      {"the system's authorities", good, us.substr(1), {"FAIL", "signed by an unknown authority"}},
      {"wrong host name",
       misnamed,
       known + us,
       {"FAIL", "certificate is not for localhost", "server_name_indication"}},
      {"the name it has",
       misnamed,
       known + us + "&server_name_indication=rabbit.example",
       {"ok    "}},
      {"expired",
       servers.certify("localhost", validity::over),
       known + us,
       {"FAIL", "has expired", "renewed there"}},
      {"self-signed", alone, known + us, {"FAIL", "self-signed", "cacertfile"}},
      {"self-signed and named", alone, "cacertfile=" + alone.chain_file + us, {"ok    "}},
      {"not verified, as told", alone, "verify=verify_none" + us, {"ok    "}},
      {"no client certificate",
       good,
       known,
       {"FAIL", "wants a client certificate", "certfile and keyfile"}},
      {"a client certificate of somebody else",
       good,
       known + client(others.certify("card-service")),
       {"FAIL", "does not accept our client certificate", "certfile and keyfile"}},
      {"an expired client certificate",
       good,
       known + client(clients.certify("late", validity::over)),
       {"FAIL", "does not accept our client certificate", "expired"}},
      {"a key of another certificate",
       good,
       known + "&certfile=" + own().chain_file + "&keyfile=" + good.key_file,
       {"FAIL", "cannot use the client key", good.key_file}},
      {"a file that is not there",
       good,
       known + "&certfile=/none.pem&keyfile=/none.key",
       {"FAIL", "cannot use the client certificate /none.pem", "No such file"}},
      {"EXTERNAL", good, known + us + "&auth_mechanism=external", {"ok    "}},
      {"EXTERNAL with a name that the broker does not know",
       good,
       known + client(clients.certify("stranger")) + "&auth_mechanism=external",
       {"FAIL", "403", "mechanism EXTERNAL"}},
  };
  std::string presented;
  for (const auto& c : cases) {
    // Only what is new: rabbitmqctl boots a virtual machine each time.
    if (std::exchange(presented, c.server.chain_file) != c.server.chain_file)
      broker_side_->present(c.server);
    expect_line(c.name, c.says,
                [&] { return line_of("broker", check(no_database, amqps(c.with))); });
  }
  expect_line("TLS where there is none", {"FAIL", "is not TLS"}, [&] {
    return line_of("broker", check(no_database, amqps(known, shared_rabbitmq().port())));
  });
}

TEST_F(tls, a_broker_with_tls_1_1_only_is_refused) {
  const auto c = signers().servers.certify("localhost");
  child_process server({{"openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_1", "-www",
                         "-cipher", "ALL:@SECLEVEL=0", "-cert", c.chain_file, "-key", c.key_file}});
  const std::string listens = "ACCEPT 127.0.0.1:";
  ASSERT_TRUE(eventually(20s, [&] { return server.out().find(listens) != std::string::npos; }))
      << server.err();
  const int port = std::stoi(server.out().substr(server.out().find(listens) + listens.size()));
  EXPECT_THAT(
      line_of("broker", check(no_database, amqps("cacertfile=" + signers().servers.file(), port))),
      AllOf(HasSubstr("FAIL"), HasSubstr("only TLS older than 1.2")));
}

// ---- the database

TEST_F(tls, a_database_is_verified_and_what_is_wrong_is_said) {
  const auto& [servers, clients, others] = signers();
  const auto good = servers.certify("db.example"), alone = self_signed("db.example"),
             stranger = clients.certify("stranger"), false_one = others.certify("card-service");
  const std::string known = "sslrootcert=" + servers.file() + " ";
  const auto with = [](const certificate& c) {
    return "user=card-service sslcert=" + c.chain_file + " sslkey=" + c.key_file;
  };
  const std::vector<tls_case> cases{
      {"all is well", good, superuser() + known, {"ok    "}},
      {"wrong authority",
       good,
       superuser() + "sslrootcert=" + others.file(),
       {"FAIL", "signed by an unknown authority", "sslrootcert"}},
      {"the system's authorities", good, superuser(), {"FAIL", "signed by an unknown authority"}},
      {"wrong host name",
       servers.certify("other.example"),
       superuser() + known,
       {"FAIL", "for \"other.example\" does not match host name \"db.example\""}},
      {"expired",
       servers.certify("db.example", validity::over),
       superuser() + known,
       {"FAIL", "has expired", "renewed there"}},
      {"self-signed", alone, superuser() + known, {"FAIL", "self-signed", "sslrootcert"}},
      {"self-signed and named", alone, superuser() + "sslrootcert=" + alone.chain_file, {"ok    "}},
      {"not verified, as told", alone, superuser() + "sslmode=require", {"ok    "}},
      {"no client certificate",
       good,
       known + "user=card-service",
       {"FAIL", "requires a valid client certificate"}},
      {"a client certificate of somebody else",
       good,
       known + with(false_one),
       {"FAIL", "does not accept our client certificate", "sslcert and sslkey"}},
      {"a client certificate with another name",
       good,
       known + with(stranger),
       {"FAIL", "certificate authentication failed for user \"card-service\""}},
      {"a client certificate", good, known + with(own()), {"ok    "}},
  };
  for (const auto& c : cases) {
    database_side_->present(c.server);
    expect_line(c.name, c.says,
                [&] { return line_of("database", check(database(c.with), nowhere)); });
  }
}

TEST_F(tls, a_database_without_tls_or_with_an_old_one_is_refused_on_another_host) {
  const auto line = [&](const std::string& more = "") {
    return line_of(
        "database",
        check(database(superuser() + "sslrootcert=" + signers().servers.file() + more), nowhere));
  };
  database_side_->present(signers().servers.certify("db.example"));
  database_side_->set("ssl_ciphers", "ALL:@SECLEVEL=0");
  database_side_->set("ssl_min_protocol_version", "TLSv1.1");
  database_side_->set("ssl_max_protocol_version", "TLSv1.1");
  expect_line("TLS 1.1", {"FAIL", "only TLS older than 1.2"}, line);
  database_side_->set("ssl", "off");
  expect_line("no TLS", {"FAIL", "server does not support SSL", "sslmode=disable does without"},
              line);
  EXPECT_THAT(line(" sslmode=disable"), HasSubstr("ok    "));
  const std::string warned = check(database(superuser() + "sslmode=disable"), nowhere);
  EXPECT_THAT(warned, HasSubstr("warning: OUTBOX_DATABASE_URL has sslmode=disable"));
  database_side_->set("ssl_max_protocol_version", "");
  database_side_->set("ssl_min_protocol_version", "TLSv1.2");
  database_side_->set("ssl", "on");
  expect_line("TLS again", {"ok    "}, line);
}

// ---- a sidecar that runs

TEST_F(tls, a_sidecar_says_it_in_its_log_and_goes_on_when_it_is_mended) {
  shared_rabbitmq().ctl({"set_permissions", "-p", vhost(), "card-service", "", ".*", ""});
  const auto& servers = signers().servers;
  broker_side_->present(servers.certify("localhost", validity::over));
  database_side_->present(servers.certify("db.example", validity::over));
  sidecar relay(database(superuser() + "sslrootcert=" + servers.file()),
                amqps("cacertfile=" + servers.file() + client(own()) + "&auth_mechanism=external"));
  const auto said = [&](const std::string& event) {
    const auto log = relay.log();
    const auto at = log.find("\"event\":\"" + event + "\"");
    return at == std::string::npos ? std::string() : log.substr(at, log.find('\n', at) - at);
  };
  expect_line("database", {"server's certificate has expired"},
              [&] { return relay.get("/readyz?verbose"); });
  database_side_->present(servers.certify("db.example"));
  expect_line("broker", {"server's certificate has expired"},
              [&] { return said("amqp.connect_failed"); });
  insert(10);
  broker_side_->present(servers.certify("localhost"));
  relay.await_ready();
  EXPECT_THAT(said("amqp.connected"), HasSubstr("\"tls\":\"TLSv1.3\""));
  expect_everything_delivered(relay);
}

// ---- rotation

TEST_F(tls, client_certificates_may_change_under_load) {
  shared_rabbitmq().ctl({"set_permissions", "-p", vhost(), "card-service", "", ".*", ""});
  ask("GRANT outbox_relay TO \"card-service\"");
  const auto& servers = signers().servers;
  broker_side_->present(servers.certify("localhost"));
  database_side_->present(servers.certify("db.example"));
  const certificate files{(scratch_directory() / "rotating.pem").string(),
                          (scratch_directory() / "rotating.key").string()};
  const auto put = [&](const certificate& fresh) {
    replace_file(files.chain_file, file_content(fresh.chain_file));
    replace_file(files.key_file, file_content(fresh.key_file));
  };
  put(own());
  sidecar relay(database("user=card-service sslrootcert=" + servers.file() +
                         " sslcert=" + files.chain_file + " sslkey=" + files.key_file),
                amqps("cacertfile=" + servers.file() + client(files) + "&auth_mechanism=external"));
  relay.await_ready();
  writers load(db.url(), 2);

  // The servers first: until we have the new ones we are refused.
  const authority renewed("renewed");
  broker_side_->trust(renewed);
  database_side_->trust(renewed);
  expect_line("refused", {"does not accept our client certificate"}, [&] {
    ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE usename = 'card-service'");
    shared_rabbitmq().ctl({"close_all_user_connections", "card-service", "rotation"});
    return relay.log();
  });
  put(renewed.certify("card-service"));
  const double before = relay.metric("outbox_messages_confirmed_total");
  EXPECT_TRUE(eventually(
      60s, [&] { return relay.metric("outbox_messages_confirmed_total") >= before + 100; }))
      << relay.get("/readyz?verbose") << relay.log();
  EXPECT_TRUE(relay.running());
  expect_everything_delivered(relay, &load);
  broker_side_->trust(signers().clients);
  database_side_->trust(signers().clients);
}

}  // namespace
}  // namespace outboxd::tests
