// The outboxd binary as a user runs it: a process with an environment, watched through its HTTP
// port and its log. Starts in the constructor; killed with the object. One thread at a time.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/child_process.hpp"

namespace outboxd::tests {

class sidecar {
 public:
  // More settings, or others than the defaults made for tests (short retries and polls of a minute,
  // so that nothing passes because of a poll).
  using settings = std::map<std::string, std::string>;

  sidecar(const std::string& database_url, const std::string& amqp_url, const settings& more = {});

  // It leads and every lane is open. Throws with its log when that takes more than a minute.
  void await_ready();

  pid_t pid() const { return process_->pid(); }
  bool running() { return process_->running(); }
  void kill(int signal) { process_->kill(signal); }
  std::optional<exit_status> wait(std::chrono::milliseconds limit) { return process_->wait(limit); }

  // JSON lines.
  std::string log() const { return process_->err(); }
  bool logged(const std::string& event) const;
  int port() const { return http_port().value(); }  // of its HTTP listener, once it has started
  // The body of GET; empty when nobody answers.
  std::string get(const std::string& path) const;
  // A sample such as outbox_leader or outbox_messages_failed_total{reason="returned"}; throws when
  // absent.
  double metric(const std::string& sample) const;

  // By the kernel's account, also when nobody answers.
  std::size_t resident_bytes() const;
  double cpu_seconds() const;

 private:
  std::optional<int> http_port() const;

  std::unique_ptr<child_process> process_;
  mutable std::optional<int> http_port_ = {};
};

}  // namespace outboxd::tests
