// One connection to PostgreSQL with our settings and its prepared statements. Blocks; used by one
// thread, but for shut_down(). Not repaired: after a lost session a new object is made. Throws what
// libpqxx throws.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "outbox/pqxx_compat.hpp"

namespace outboxd::outbox {

// Prepared on its first use in a session.
struct statement {
  std::string name;
  std::string sql;
};

using session_settings = std::vector<std::pair<std::string, std::string>>;

// The socket of a session, for others than its thread: any thread may call. Holds a descriptor of
// its own, because libpq closes its one when it likes and the number could then belong to somebody
// else.
class session_socket {
 public:
  explicit session_socket(int borrowed);
  ~session_socket();
  session_socket(const session_socket&) = delete;
  session_socket& operator=(const session_socket&) = delete;

  int descriptor() const { return descriptor_; }

  // Whoever waits for the server on this session then sees the connection end at once.
  void shut_down() const;

  // Since when the session has been waiting for the server's answer to one statement.
  using time_point = std::chrono::steady_clock::time_point;
  std::optional<time_point> waiting_since() const;

 private:
  friend class awaited_answer;

  static constexpr time_point::rep nobody_waits = 0;
  int descriptor_;
  std::atomic<time_point::rep> waiting_since_{nobody_waits};
};

// One statement is on its way to the server and back as long as this lives.
class awaited_answer {
 public:
  explicit awaited_answer(session_socket& socket);
  ~awaited_answer();
  awaited_answer(const awaited_answer&) = delete;
  awaited_answer& operator=(const awaited_answer&) = delete;

 private:
  session_socket& socket_;
};

class session {
 public:
  // settings: SET for the whole session, in addition to what every session of ours needs.
  // connected: told the socket before the first statement, so that somebody can end the wait for
  // its answer.
  using on_connected = std::function<void(const std::shared_ptr<session_socket>&)>;
  session(const std::string& conninfo, const session_settings& settings,
          const on_connected& connected = {});
  ~session();

  template <typename... Args>
  pqxx::result run(const statement& s, const Args&... args) {
    const awaited_answer waiting(*socket_);
    if (!prepared_.contains(s.name)) {
      connection_.prepare(s.name, s.sql);  // libpqxx 7 asks the server at once, and this may throw
      prepared_.insert(s.name);
    }
    pqxx::nontransaction tx(connection_);
    return compat::exec_prepared(tx, s.name, args...);
  }

  void listen(const std::string& channel);

  // Reads what the server sent on its own; answers with the number of notifications. Never blocks.
  int take_notifications();

  std::string server_version() const;  // "15.18"
  int pid() const { return connection_.backendpid(); }
  const std::shared_ptr<session_socket>& socket() const { return socket_; }

 private:
  void expect_usable();
  void expect_open() const;

  pqxx::connection connection_;
  std::shared_ptr<session_socket> socket_;
  std::unique_ptr<compat::listener> listener_;
  std::set<std::string> prepared_;
};

}  // namespace outboxd::outbox
