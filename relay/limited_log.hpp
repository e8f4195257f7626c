// Lines that could come in a flood: of each event name at most `burst` in `interval`; the next one
// says how many were left out. A failing destination or a broker that comes and goes must not flood
// the log; the metrics count everything. From one thread.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.hpp"

namespace outboxd::relay {

class limited_log final : public base::logger {
 public:
  limited_log(base::logger& log, std::chrono::steady_clock::duration interval,
              std::size_t burst = 1)
      : log_(log), interval_(interval), burst_(burst) {}

  using base::logger::write;
  void write(base::severity level, std::string_view event,
             std::span<const base::field> fields) override {
    entry& e = entries_[std::string(event)];
    const auto now = std::chrono::steady_clock::now();
    if (e.until <= now) e = {now + interval_, 0, e.left_out};
    if (e.written == burst_) {
      ++e.left_out;
      return;
    }
    ++e.written;
    std::vector<base::field> all(fields.begin(), fields.end());
    if (e.left_out > 0) all.emplace_back("left_out", std::exchange(e.left_out, 0));
    log_.write(level, event, std::span<const base::field>(all));
  }

 private:
  struct entry {
    std::chrono::steady_clock::time_point until{};
    std::size_t written = 0;
    std::size_t left_out = 0;
  };

  base::logger& log_;
  std::chrono::steady_clock::duration interval_;
  std::size_t burst_;
  std::unordered_map<std::string, entry> entries_;
};

}  // namespace outboxd::relay
