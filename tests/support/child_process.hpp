// A program run as a child of the test, its output captured. It sees only the variables it is
// given, plus a few harmless ones (PATH, HOME, TMPDIR, options of sanitizers), so that the
// environment of whoever runs the tests does not matter. It dies with the object (SIGKILL), and
// with the test process at the latest. One thread at a time.
#pragma once

#include "tests/support/unique_fd.hpp"

#include <sys/types.h>

#include <chrono>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace outboxd::tests {

struct command {
  std::vector<std::string> argv;  // argv[0]: a path, or a name to be found in PATH
  std::map<std::string, std::string> env = {};
};

// Exactly one of the two is meaningful: signal is 0 for a program that exited by itself.
struct exit_status {
  int code = 0;
  int signal = 0;

  friend bool operator==(const exit_status&, const exit_status&) = default;
};
std::ostream& operator<<(std::ostream& out, const exit_status& status);

class child_process {
 public:
  // Throws when the program cannot be started.
  explicit child_process(const command& what);
  ~child_process();

  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  pid_t pid() const { return pid_; }
  bool running() { return !wait(std::chrono::milliseconds(0)); }

  // Does nothing once the end of the child was seen.
  void kill(int signal);

  // nullopt: still running when the limit was over.
  std::optional<exit_status> wait(std::chrono::milliseconds limit);

  // What was written so far, also while the child runs.
  std::string out() const;
  std::string err() const;

 private:
  pid_t pid_ = -1;
  unique_fd handle_;  // becomes readable when the child ends
  unique_fd out_;
  unique_fd err_;
  std::optional<exit_status> status_;
};

// Standard output of a program that has to succeed; throws with all of its output otherwise.
std::string run(const command& what, std::chrono::milliseconds limit = std::chrono::minutes(3));

}  // namespace outboxd::tests
