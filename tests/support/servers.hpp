// Real servers for a test process: started on first use, on private ports and in the scratch
// directory, gone when the process ends. What starts and stops them is servers.sh. Everything here
// throws when a server does not obey, with the end of its log. One thread at a time per server.
#pragma once

#include <deque>
#include <string>
#include <vector>

namespace outboxd::tests {

enum class stop_mode { fast, immediate };

// Any bytes are a text there.
inline constexpr const char* in_sql_ascii =
    "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";

class postgres_server {
 public:
  postgres_server();

  int port() const { return port_; }

  // libpq URI of the superuser for that database.
  std::string uri(const std::string& database) const;
  // A fresh, empty database; returns uri() of it. how: options of CREATE DATABASE.
  std::string create_database(const std::string& how = {});

  void stop(stop_mode mode = stop_mode::fast);
  void kill();   // SIGKILL to every process of the server at once
  void start();  // again, on the same port and data

 private:
  std::string base_;  // URI up to the database's name
  int port_ = 0;
  int databases_ = 0;
};

// A streaming stand-by of shared_postgres(), from construction on.
class postgres_standby {
 public:
  // synchronous: what is committed is on both, and nothing commits while there is only one.
  explicit postgres_standby(bool synchronous = false);

  int port() const { return port_; }
  // libpq URI of the superuser, with both servers.
  std::string uri_of_both(const std::string& database) const;

  void promote();

  // The server that takes writes is killed and the other one promoted,
  void fail_over();
  // and the killed one becomes a stand-by of the other.
  void rejoin();

 private:
  std::string directory_of(int server) const;

  int port_ = 0;
  int primary_ = 0;  // 0: shared_postgres(), 1: the one that began as a stand-by
  bool alone_ = false;
};

// In transaction mode, before shared_postgres().
class pgbouncer {
 public:
  pgbouncer();

  // libpq URI of the superuser for that database, by way of the pooler.
  std::string uri(const std::string& database) const { return base_ + database; }

 private:
  std::string base_;  // URI up to the database's name
};

class rabbitmq_server {
 public:
  rabbitmq_server();

  int port() const { return port_; }

  std::string url(const std::string& vhost) const;
  // A fresh vhost, which the user of url() may do everything in; returns its name.
  std::string create_vhost();
  // Output of rabbitmqctl with these arguments, e.g. {"list_queues", "-p", vhost}.
  std::string ctl(const std::vector<std::string>& arguments) const;
  // Larger bodies are refused from now on; a broker that is started again has its usual limit.
  void limit_message_size(std::size_t bytes) const;

  void stop();
  void kill();
  void start();

 private:
  std::string base_;  // URL up to the vhost
  int port_ = 0;
  int vhosts_ = 0;
  std::deque<std::string> spare_vhosts_;
};

// For `rabbitmqctl eval` on a broker that runs: what limit_message_size() tells it.
std::string message_size_limit(std::size_t bytes);

postgres_server& shared_postgres();
rabbitmq_server& shared_rabbitmq();

// Both at once; for suites that need both, since the broker takes seconds to boot.
void start_shared_servers();

}  // namespace outboxd::tests
