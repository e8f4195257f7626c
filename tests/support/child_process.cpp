#include "tests/support/child_process.hpp"

#include "tests/support/scratch_directory.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ostream>
#include <stdexcept>
#include <system_error>

namespace outboxd::tests {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

std::vector<std::string> environment(const command& what) {
  std::map<std::string, std::string> all;
  for (const char* name : {"PATH", "HOME", "USER", "TMPDIR", "ASAN_OPTIONS", "LSAN_OPTIONS",
                           "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) all[name] = value;
  }
  all["LANG"] = "C.UTF-8";
  all["OUTBOXD_SCRATCH"] = scratch_directory().string();  // by which the guard finds the child
  for (const auto& [name, value] : what.env) all[name] = value;

  std::vector<std::string> lines;
  lines.reserve(all.size());
  for (const auto& [name, value] : all) lines.emplace_back(name).append("=").append(value);
  return lines;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

// Memory, not a pipe: a child that nobody reads from never blocks.
unique_fd capture_file(const char* name) {
  unique_fd file(::memfd_create(name, MFD_CLOEXEC));
  if (!file) fail(errno, "memfd_create");
  return file;
}

std::string content(const unique_fd& file) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail(errno, "fstat");
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  const ssize_t n = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return text;
}

exit_status decode(int status) {
  if (WIFSIGNALED(status)) return {0, WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const exit_status& status) {
  if (status.signal != 0) return out << "killed by signal " << status.signal;
  return out << "exit status " << status.code;
}

child_process::child_process(const command& what)
    : out_(capture_file("stdout")), err_(capture_file("stderr")) {
  std::vector<std::string> arguments = what.argv;
  std::vector<std::string> variables = environment(what);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_.get(), STDERR_FILENO);
  // A process group of its own: Ctrl-C ends the test, and the test ends its children. Signals as a
  // shell would have them, whatever we were started with.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = ::posix_spawnp(&pid_, arguments.at(0).c_str(), &actions, &attributes,
                                   pointers(arguments).data(), pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail(error, "cannot start " + arguments[0]);

  handle_ = unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!handle_) fail(errno, "pidfd_open");
}

child_process::~child_process() {
  kill(SIGKILL);
  if (!status_) ::waitpid(pid_, nullptr, 0);
}

void child_process::kill(int signal) {
  if (!status_) ::kill(pid_, signal);
}

std::optional<exit_status> child_process::wait(std::chrono::milliseconds limit) {
  if (status_) return status_;
  pollfd ended{handle_.get(), POLLIN, 0};
  if (::poll(&ended, 1, static_cast<int>(limit.count())) > 0) {
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) fail(errno, "waitpid");
    status_ = decode(status);
  }
  return status_;
}

std::string child_process::out() const {
  return content(out_);
}
std::string child_process::err() const {
  return content(err_);
}

std::string run(const command& what, std::chrono::milliseconds limit) {
  child_process child(what);
  const auto status = child.wait(limit);
  if (status == exit_status{}) return child.out();
  std::string text = what.argv.at(0) + (status ? ": failed" : ": does not end") + "\n";
  throw std::runtime_error(text + child.out() + child.err());
}

}  // namespace outboxd::tests
