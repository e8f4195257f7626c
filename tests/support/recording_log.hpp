// A logger that keeps its lines, "event key=value …", for tests. From any thread.
#pragma once

#include <algorithm>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"

namespace outboxd::tests {

class recording_log final : public base::logger {
 public:
  void write(base::severity, std::string_view event, std::span<const base::field> fields) override {
    std::string line(event);
    for (const base::field& f : fields) line.append(" ").append(f.key).append("=").append(f.value);
    const std::lock_guard guard(mutex_);
    lines_.push_back(std::move(line));
  }

  // The lines of one event.
  std::vector<std::string> lines(std::string_view event) const {
    const std::lock_guard guard(mutex_);
    std::vector<std::string> found;
    std::copy_if(lines_.begin(), lines_.end(), std::back_inserter(found),
                 [&](const std::string& line) {
                   return line == event || line.starts_with(std::string(event) + " ");
                 });
    return found;
  }
  std::string last(std::string_view event) const {
    const auto found = lines(event);
    return found.empty() ? "" : found.back();
  }
  std::string text() const {
    const std::lock_guard guard(mutex_);
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace outboxd::tests
