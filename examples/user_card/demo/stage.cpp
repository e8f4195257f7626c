#include "examples/user_card/demo/stage.hpp"

#include "tests/support/scratch_directory.hpp"
#include "tests/support/unique_fd.hpp"

#include <pqxx/pqxx>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <fstream>
#include <future>
#include <random>
#include <sstream>
#include <stdexcept>

namespace user_card::demo {
namespace {

namespace tests = outboxd::tests;

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string read_word(const std::filesystem::path& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

std::filesystem::path rabbitmq_home() {
  return tests::scratch_directory() / "rabbitmq";
}

// The broker boots for seconds, so side by side. Started by us and not on first use, because it
// shall have its management page.
void start_both() {
  auto broker = std::async(std::launch::async, [] {
    tests::run({{tests::servers_script(), "rabbitmq-start", tests::scratch_directory().string(),
                 "management"}});
  });
  tests::shared_postgres();
  broker.get();
}

// Below the ports that the kernel hands out, so that it is still free when a sidecar starts again.
int free_port() {
  std::random_device random;
  for (int tries = 0; tries < 100; ++tries) {
    const auto port = std::uniform_int_distribution(15000, 31999)(random);
    const tests::unique_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      return port;
  }
  throw std::runtime_error("no free port found");
}

void execute(const std::string& database, const std::string& sql) {
  pqxx::connection connection(database);
  pqxx::nontransaction(connection).exec(sql);
}

// The service owns its database and may insert into its outbox; the sidecar may relay it.
side prepare(servers& running, const std::string& service, const options& chosen,
             const narrator& say) {
  say("creating the database of " + service + ", and its outbox");
  const auto& postgres = running.postgres;
  const std::string relay = "outboxd_of_" + service;
  const std::string password = std::to_string(std::random_device{}());
  const auto login = [&](const std::string& role) {
    return "postgresql://" + role + ':' + password +
           "@127.0.0.1:" + std::to_string(postgres.port()) + '/' + service;
  };
  const std::string admin = postgres.uri("postgres");
  execute(admin, "CREATE ROLE " + service + " LOGIN PASSWORD '" + password + "'");
  execute(admin, "CREATE ROLE " + relay + " LOGIN PASSWORD '" + password + "'");
  execute(admin, "CREATE DATABASE " + service + " OWNER " + service);

  side made{service, postgres.uri(service), login(service), login(relay), free_port()};
  execute(made.database, read_file(USER_CARD_SQL "/" + service + ".sql"));
  tests::run({{chosen.outboxd, "migrate"}, {{"OUTBOX_DATABASE_URL", made.admin_database}}});
  execute(made.admin_database, "GRANT outbox_writer TO " + service);
  execute(made.admin_database, "GRANT outbox_relay TO " + relay);
  return made;
}

process::settings service_of(const side& of, const servers& running, const std::string& program,
                             const options& chosen, const std::filesystem::path& logs) {
  return {of.service,
          {program},
          {{"DATABASE_URL", of.database},
           {"AMQP_URL", running.amqp_url()},
           {"USERS", std::to_string(chosen.users)},
           {"RATE", std::to_string(chosen.rate)},
           {"SEED", std::to_string(chosen.seed)}},
          logs / (of.service + ".log")};
}

process::settings sidecar_of(const side& of, const servers& running, const options& chosen,
                             const std::filesystem::path& logs) {
  const std::string name = "outboxd of " + of.service;
  return {name,
          {chosen.outboxd, "run"},
          {{"OUTBOX_DATABASE_URL", of.relay_database},
           {"OUTBOX_AMQP_URL", running.amqp_url()},
           {"OUTBOX_HTTP_LISTEN", "127.0.0.1:" + std::to_string(of.http_port)},
           {"OUTBOX_ADMIN_LISTEN", "127.0.0.1:0"},
           {"OUTBOX_INSTANCE_ID", "outboxd_of_" + of.service},
           {"OUTBOX_LOG_FORMAT", "text"}},
          logs / ("outboxd_of_" + of.service + ".log")};
}

}  // namespace

servers::servers()
    : postgres((start_both(), tests::shared_postgres())), rabbitmq(tests::shared_rabbitmq()) {}

std::string servers::management_page() const {
  std::string login = rabbitmq.url("/");  // amqp://user:password@host:port/…
  login = login.substr(login.find("//") + 2);
  login.resize(login.rfind('@'));
  return "http://127.0.0.1:" + read_word(rabbitmq_home() / "management.port") + "/ (login " +
         login.substr(0, login.find(':')) + ", password " + login.substr(login.find(':') + 1) + ")";
}

std::map<std::string, std::int64_t> servers::queue_lengths() const {
  std::istringstream lines(rabbitmq.ctl({"list_queues", "--no-table-headers", "name", "messages"}));
  std::map<std::string, std::int64_t> lengths;
  std::string name;
  for (std::int64_t messages = 0; lines >> name >> messages;) lengths[name] = messages;
  return lengths;
}

void servers::copy_logs(const std::filesystem::path& to) const {
  const auto replace = std::filesystem::copy_options::overwrite_existing;
  const auto postgres_log = tests::scratch_directory() / "postgres" / "postgres.log";
  std::filesystem::copy_file(postgres_log, to / "postgres.log", replace);
  std::filesystem::copy_file(rabbitmq_home() / "rabbitmq.log", to / "rabbitmq.log", replace);
}

stage::stage(const options& chosen, const std::filesystem::path& logs, const narrator& say)
    : running((say("starting a PostgreSQL and a RabbitMQ of its own"), servers())),
      users(prepare(running, "service_user", chosen, say)),
      cards(prepare(running, "service_card", chosen, say)),
      user_service(service_of(users, running, USER_CARD_SERVICE_USER, chosen, logs)),
      user_sidecar(sidecar_of(users, running, chosen, logs)),
      card_service(service_of(cards, running, USER_CARD_SERVICE_CARD, chosen, logs)),
      card_sidecar(sidecar_of(cards, running, chosen, logs)) {
  say("starting the two services and their sidecars");
  for (auto* each : everybody()) each->start();
}

}  // namespace user_card::demo
