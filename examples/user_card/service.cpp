#include "examples/user_card/service.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

namespace user_card {

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}

std::string setting(const char* name, const std::string& fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

void write_line(const std::string& text) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::system_clock::to_time_t(now);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm local{};
  localtime_r(&seconds, &local);
  std::cout << std::put_time(&local, "%H:%M:%S") << '.' << std::setw(3) << std::setfill('0')
            << milliseconds << ' ' << text << std::endl;
}

void pause(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any stopped;
  stopped.wait_for(lock, stop, time, [] { return false; });
}

std::chrono::milliseconds growing_pause::next() {
  return std::exchange(next_, std::min(next_ * 2, longest));
}

void run_until_signal(std::vector<job> jobs) {
  // Blocked before the threads start, so that they inherit it and the signal comes here only.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  std::vector<std::jthread> threads;
  threads.reserve(jobs.size());
  for (auto& each : jobs) threads.emplace_back(std::move(each));
  int signal = 0;
  sigwait(&stop_signals, &signal);
  say("stopping: ", strsignal(signal));
  for (auto& thread : threads) thread.request_stop();
}

}  // namespace user_card
