// Processor time and allocations of what is measured.
#pragma once

#include <time.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

namespace outboxd::bench {

// Counted by the operators new of the program.
inline std::size_t allocations = 0;

// Of this process: what others do meanwhile does not count.
inline std::chrono::nanoseconds cpu_time() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

// Counts while it runs.
class meter {
 public:
  // What the world around the relay does is left out.
  class aside {
   public:
    explicit aside(meter& m) : meter_(m) { meter_.pause(); }
    ~aside() { meter_.go(); }
    aside(const aside&) = delete;
    aside& operator=(const aside&) = delete;

   private:
    meter& meter_;
  };

  void go() {
    since_ = cpu_time();
    allocations_before_ = allocations;
  }
  void pause() {
    spent_ += cpu_time() - since_;
    allocated_ += allocations - allocations_before_;
  }
  void print(const std::string& what, std::size_t rows) const {
    const auto n = static_cast<double>(rows);
    std::printf("%-16s %8.0f ns/row %8.2f allocations/row\n", what.c_str(),
                static_cast<double>(spent_.count()) / n, static_cast<double>(allocated_) / n);
  }

 private:
  std::chrono::nanoseconds since_{}, spent_{};
  std::size_t allocations_before_ = 0, allocated_ = 0;
};

}  // namespace outboxd::bench
