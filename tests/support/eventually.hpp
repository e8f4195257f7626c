// Waits for a condition instead of for a time: the limit only says when to give up. Polls, because
// what is waited for lives in other processes.
#pragma once

#include <chrono>
#include <thread>

namespace outboxd::tests {

// True as soon as the predicate is, false when it never was within the limit. What the predicate
// throws passes through.
template <typename Predicate>
bool eventually(std::chrono::milliseconds limit, Predicate&& predicate) {
  constexpr std::chrono::milliseconds pause{5};
  const auto give_up = std::chrono::steady_clock::now() + limit;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() >= give_up) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace outboxd::tests
