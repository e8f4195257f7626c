// What the person in front of it sees: announcements that stay, and under them one line that is
// redrawn in place, or, where the output is not a terminal, printed once a second. Any thread.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

namespace user_card::demo {

class screen {
 public:
  screen();

  void announce(const std::string& text);
  // Replaces the live line.
  void show(const std::string& line);
  // The live line stays as it is; what follows begins below it.
  void leave();

  std::chrono::milliseconds elapsed() const;

 private:
  std::string stamp() const;
  void erase();

  const bool terminal_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_shown_;
  bool drawn_ = false;
  std::mutex mutex_;
};

}  // namespace user_card::demo
