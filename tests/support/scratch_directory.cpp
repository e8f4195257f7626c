#include "tests/support/scratch_directory.hpp"

#include "tests/support/unique_fd.hpp"

#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

namespace outboxd::tests {
namespace {

std::filesystem::path make_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "outboxd-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), "cannot make " + name);
  return name;
}

class guarded_directory {
 public:
  guarded_directory() : path_(make_directory()) { start_guard(); }

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
  void start_guard() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw std::system_error(errno, std::generic_category(), "socketpair");
    guard_ = unique_fd(ends[0]);
    const unique_fd theirs(ends[1]);

    std::string script = servers_script();
    std::string verb = "guard";
    std::string directory = path_.string();
    char* argv[] = {script.data(), verb.data(), directory.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, script.c_str(), &actions, nullptr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    if (error != 0 || ::waitpid(pid, &status, 0) != pid || status != 0) {
      std::filesystem::remove(path_);
      throw std::runtime_error("cannot start " + script + " guard " + directory);
    }
  }

  std::filesystem::path path_;
  unique_fd guard_;
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
