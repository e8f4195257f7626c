// What both services need around their work: settings from the environment, a log a person can
// follow, pauses that end at once on SIGTERM. Any thread.
#pragma once

#include <chrono>
#include <functional>
#include <sstream>
#include <stop_token>
#include <string>
#include <vector>

namespace user_card {

// The variable's value; throws when it is not set and there is no fallback.
std::string setting(const char* name);
std::string setting(const char* name, const std::string& fallback);

// One line on stdout, with the time of day, written at once.
void write_line(const std::string& text);

template <typename... Parts>
void say(const Parts&... parts) {
  std::ostringstream line;
  (line << ... << parts);
  write_line(line.str());
}

// Sleeps, but not beyond a request to stop.
void pause(const std::stop_token& stop, std::chrono::milliseconds time);

// 200 ms, 400 ms, … 5 s; from the start again after a success.
class growing_pause {
 public:
  std::chrono::milliseconds next();
  void succeeded() { next_ = first; }

 private:
  static constexpr std::chrono::milliseconds first{200};
  static constexpr std::chrono::milliseconds longest{5000};
  std::chrono::milliseconds next_ = first;
};

using job = std::function<void(const std::stop_token&)>;

// Runs each job on a thread of its own until SIGTERM or SIGINT, then waits for what they have in
// hand.
void run_until_signal(std::vector<job> jobs);

}  // namespace user_card
