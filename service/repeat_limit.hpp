// Repeated lines are counted, not written: at most one line in ten seconds for each event and what
// it is about (a lane, an exchange, a reason; of many of these only the first few count apart).
// What was left out follows when the time is over, or before a line of the same part that says that
// things are well again: the last one of them, with the number of the others (`left_out`). So every
// line is written or counted. Debug lines pass.
// From any thread; somebody calls tick() about once a second, and finish() at the end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"

namespace outboxd::service {

class repeat_limit final : public base::logger {
 public:
  using clock = std::chrono::steady_clock;

  explicit repeat_limit(base::logger& to, std::function<clock::time_point()> now = clock::now);

  using base::logger::write;
  void write(base::severity level, std::string_view event,
             std::span<const base::field> fields) override;

  void tick();
  void finish();

 private:
  struct kept_field {
    std::string key, value;
    bool bare;
  };
  struct entry {
    clock::time_point next{};  // a line may be written again
    std::size_t left_out = 0;
    std::uint64_t position = 0;  // of those left out the last: where it stood,
    base::severity level{};
    std::string event, lane;
    std::vector<kept_field> fields;
  };
  using entries = std::map<std::string, entry, std::less<>>;  // by what they are about

  entry& entry_of(std::string_view event, std::span<const base::field> fields);
  void catch_up(const std::function<bool(const entry&)>& wanted, clock::time_point now);
  void write_left_out(entry& e, clock::time_point now);

  base::logger& to_;
  const std::function<clock::time_point()> now_;
  std::mutex mutex_;  // guards the rest
  std::uint64_t lines_ = 0;
  std::map<std::string, entries, std::less<>> events_;
};

}  // namespace outboxd::service
