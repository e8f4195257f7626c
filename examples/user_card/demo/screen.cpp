#include "examples/user_card/demo/screen.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

namespace user_card::demo {
namespace {

constexpr std::chrono::seconds between_lines{1};
constexpr const char* start_of_line = "\r\033[K";

// A line that wraps could not be erased.
std::string cut_to_width(const std::string& line) {
  winsize window{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return line;
  return line.substr(0, window.ws_col - 1u);
}

}  // namespace

screen::screen()
    : terminal_(::isatty(STDOUT_FILENO) == 1), start_(std::chrono::steady_clock::now()) {}

void screen::announce(const std::string& text) {
  const std::lock_guard lock(mutex_);
  erase();
  std::cout << stamp() << text << std::endl;
}

void screen::show(const std::string& line) {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (terminal_) {
    erase();
    std::cout << cut_to_width(stamp() + line) << std::flush;
    drawn_ = true;
  } else if (now - last_shown_ >= between_lines) {
    std::cout << stamp() << line << std::endl;
    last_shown_ = now;
  }
}

void screen::leave() {
  const std::lock_guard lock(mutex_);
  if (drawn_) std::cout << std::endl;
  drawn_ = false;
}

std::chrono::milliseconds screen::elapsed() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start_);
}

std::string screen::stamp() const {
  char text[16];
  std::snprintf(text, sizeof text, "%6.1fs  ", static_cast<double>(elapsed().count()) / 1000);
  return text;
}

void screen::erase() {
  if (drawn_) std::cout << start_of_line;
  drawn_ = false;
}

}  // namespace user_card::demo
