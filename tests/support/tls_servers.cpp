#include "tests/support/tls_servers.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <pqxx/pqxx>

#include <random>
#include <stdexcept>

#include "tests/support/loopback.hpp"
#include "tests/support/scratch_directory.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/unique_fd.hpp"

namespace outboxd::tests {
namespace {

// Below the range of outgoing connections, as servers.sh chooses them.
int free_port() {
  std::random_device random;
  std::uniform_int_distribution<int> ports(15'000, 31'999);
  for (int tries = 0; tries < 100; ++tries) {
    const unique_fd socket(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    const auto address = loopback(ports(random));
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      return ntohs(address.sin_port);
  }
  throw std::runtime_error("no free port");
}

// PostgreSQL wants its key to be its own, or root's.
void hand_over(const std::filesystem::path& file, const std::filesystem::path& owner) {
  struct stat info {};
  checked(::stat(owner.c_str(), &info), "stat");
  checked(::chown(file.c_str(), info.st_uid, info.st_gid), "chown");
}

void place(const std::filesystem::path& file, const std::string& content,
           const std::filesystem::path& like) {
  const std::filesystem::path mine = scratch_directory() / "placed";
  replace_file(mine, content);
  hand_over(mine, like);
  std::filesystem::rename(mine, file);
}

}  // namespace

tls_rabbitmq::tls_rabbitmq(const certificate& own, const authority& clients)
    : home_(scratch_directory() / "rabbitmq"), port_(free_port()) {
  auto& broker = shared_rabbitmq();
  const auto in_home = [&](const char* name) { return (home_ / name).string(); };
  place(home_ / "conf.d" / "tls.conf",
        "listeners.ssl.local = 127.0.0.1:" + std::to_string(port_) + "\nssl_options.certfile = " +
            in_home("server.pem") + "\nssl_options.keyfile = " + in_home("server.key") +
            "\nssl_options.cacertfile = " + in_home("clients.pem") +
            "\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true"
            "\nauth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL"
            "\nssl_cert_login_from = common_name\n",
        home_);
  place(home_ / "enabled_plugins", "[rabbitmq_auth_mechanism_ssl].\n", home_);
  give("clients.pem", clients.file());
  give("server.key", own.key_file);
  give("server.pem", own.chain_file);
  broker.stop();
  broker.start();
}

void tls_rabbitmq::present(const certificate& own) {
  give("server.key", own.key_file);
  give("server.pem", own.chain_file);
  forget_files();
}

void tls_rabbitmq::trust(const authority& clients) {
  give("clients.pem", clients.file());
  forget_files();
}

void tls_rabbitmq::give(const char* name, const std::string& file) const {
  place(home_ / name, file_content(file), home_);
}

void tls_rabbitmq::forget_files() const {
  shared_rabbitmq().ctl({"eval", "ssl:clear_pem_cache()."});
}

tls_postgres::tls_postgres(const certificate& own, const authority& clients)
    : data_(scratch_directory() / "postgres" / "data") {
  shared_postgres();
  place(data_ / "pg_hba.conf",
        "hostssl all +certified 127.0.0.1/32 cert\n"
        "host all all 127.0.0.1/32 scram-sha-256\n"
        "host replication all 127.0.0.1/32 scram-sha-256\n",
        data_);
  give("clients.pem", clients.file());
  give("server.key", own.key_file);
  give("server.pem", own.chain_file);
  set("ssl_cert_file", "server.pem");
  set("ssl_key_file", "server.key");
  set("ssl_ca_file", "clients.pem");
  set("ssl", "on");
}

void tls_postgres::present(const certificate& own) {
  give("server.key", own.key_file);
  give("server.pem", own.chain_file);
  set("ssl", "on");
}

void tls_postgres::trust(const authority& clients) {
  give("clients.pem", clients.file());
  set("ssl", "on");
}

void tls_postgres::set(const std::string& name, const std::string& value) {
  pqxx::connection connection(shared_postgres().uri("postgres"));
  pqxx::nontransaction tx(connection);
  tx.exec("ALTER SYSTEM SET " + name + " = " + tx.quote(value));
  tx.exec("SELECT pg_reload_conf()");
}

void tls_postgres::give(const char* name, const std::string& file) const {
  place(data_ / name, file_content(file), data_);
}

}  // namespace outboxd::tests
