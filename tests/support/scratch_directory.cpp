#include "tests/support/scratch_directory.hpp"

#include "tests/support/unique_fd.hpp"

#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace outboxd::tests {
namespace {

class guarded_directory {
 public:
  guarded_directory() : path_(start_guard()) {}

  // Says to the guard that we are done, and waits until it is done too: its end of the socket
  // closes when it exits.
  ~guarded_directory() {
    constexpr int limit_ms = 30'000;
    ::shutdown(guard_.get(), SHUT_WR);
    pollfd closed{guard_.get(), POLLIN, 0};
    ::poll(&closed, 1, limit_ms);
  }

  guarded_directory(const guarded_directory&) = delete;
  guarded_directory& operator=(const guarded_directory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  // The guard makes the directory: so there is none without a guard, whenever we are killed.
  std::filesystem::path start_guard() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw std::system_error(errno, std::generic_category(), "socketpair");
    guard_ = unique_fd(ends[0]);
    spawn_guard(unique_fd(ends[1]));

    std::string name;
    for (char c = 0; ::read(guard_.get(), &c, 1) == 1 && c != '\n';) name += c;
    if (name.empty()) throw std::runtime_error(servers_script() + " guard: no directory");
    return name;
  }

  static void spawn_guard(unique_fd socket) {
    std::string script = servers_script();
    std::string verb = "guard";
    char* argv[] = {script.data(), verb.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, socket.get(), STDOUT_FILENO);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, script.c_str(), &actions, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::generic_category(), script);
    ::waitpid(pid, nullptr, 0);
  }

  unique_fd guard_;
  std::filesystem::path path_;
};

}  // namespace

const std::filesystem::path& scratch_directory() {
  static const guarded_directory directory;
  return directory.path();
}

std::string servers_script() {
  return OUTBOXD_SERVERS_SCRIPT;
}

}  // namespace outboxd::tests
