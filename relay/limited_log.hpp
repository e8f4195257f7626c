// Lines about single rows, at most one for each event name in `interval`; the next one says how
// many were left out. A failing destination must not flood the log; the metrics count every row.
#pragma once

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/log.hpp"

namespace outboxd::relay {

class limited_log {
 public:
  limited_log(base::logger& log, std::chrono::steady_clock::duration interval)
      : log_(log), interval_(interval) {}

  void warn(std::string_view event, std::initializer_list<base::field> fields) {
    entry& e = entries_[std::string(event)];
    const auto now = std::chrono::steady_clock::now();
    if (e.next > now) {
      ++e.left_out;
      return;
    }
    std::vector<base::field> all(fields);
    if (e.left_out > 0) all.emplace_back("left_out", e.left_out);
    log_.write(base::severity::warn, event, std::span<const base::field>(all));
    e = {now + interval_, 0};
  }

 private:
  struct entry {
    std::chrono::steady_clock::time_point next{};
    std::size_t left_out = 0;
  };

  base::logger& log_;
  std::chrono::steady_clock::duration interval_;
  std::unordered_map<std::string, entry> entries_;
};

}  // namespace outboxd::relay
