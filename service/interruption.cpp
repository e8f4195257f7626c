#include "service/interruption.hpp"

#include <algorithm>
#include <csignal>
#include <thread>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

volatile std::sig_atomic_t signalled = 0;

void note(int) {
  signalled = 1;
}

}  // namespace

interruption::interruption() {
  signalled = 0;
  struct sigaction once {};
  once.sa_handler = note;
  once.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&once.sa_mask);
  sigaction(SIGINT, &once, &interrupt_before_);
  sigaction(SIGTERM, &once, &terminate_before_);
}

interruption::~interruption() {
  sigaction(SIGINT, &interrupt_before_, nullptr);
  sigaction(SIGTERM, &terminate_before_, nullptr);
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
