#include "service/interruption.hpp"

#include <algorithm>
#include <csignal>
#include <thread>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

volatile std::sig_atomic_t signalled = 0;

// Whichever of the two comes next is not noted any more.
void note(int) {
  signalled = 1;
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

constexpr std::array noted{SIGINT, SIGTERM, SIGHUP};

}  // namespace

interruption::interruption() {
  signalled = 0;
  for (std::size_t i = 0; i < noted.size(); ++i) {
    sigaction(noted[i], nullptr, &before_[i]);
    if (noted[i] == SIGHUP && before_[i].sa_handler == SIG_IGN) continue;  // nohup
    struct sigaction action {};
    action.sa_handler = note;
    sigemptyset(&action.sa_mask);
    sigaction(noted[i], &action, nullptr);
  }
}

interruption::~interruption() {
  for (std::size_t i = 0; i < noted.size(); ++i) sigaction(noted[i], &before_[i], nullptr);
}

bool interruption::came() const {
  return signalled != 0;
}

// In short sleeps: a signal that comes just before one is noticed after it.
bool interruption::came_until(std::chrono::steady_clock::time_point limit) const {
  for (;;) {
    if (came()) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now >= limit) return false;
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(50ms, limit - now));
  }
}

}  // namespace outboxd::service
