// When what happened to each message of a run: every thread of the program writes its own times
// here, all by one clock. A message is known by its number, which stands at the front of its body.
// Callable from any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd::bench {

enum class moment : std::size_t { due, commit_sent, committed, published, confirmed, consumed };

class journal {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t digits = 12;  // of a number in a body, in front of a space

  // Forgets the last run; numbers go on, so that what is left of it is not mistaken for ours.
  // Answers with the first number.
  std::int64_t begin_run(std::size_t messages);

  // The number that stands at the front of a body; -1: none.
  static std::int64_t number_in(std::string_view body);

  // The first time counts; a number of another run does not.
  void note(std::int64_t number, moment what, clock::time_point when = clock::now());

  // Until so many messages of this run were confirmed and consumed. False: not within the limit.
  bool await(std::size_t messages, std::chrono::milliseconds limit);
  std::size_t arrived() const { return arrived_; }

  // From one moment to the other, of each message of [first, last) that had both; in microseconds,
  // ascending.
  std::vector<double> between(moment from, moment to, std::size_t first, std::size_t last,
                              std::size_t step = 1) const;

 private:
  struct message {
    std::array<std::atomic<std::int64_t>, 6> at{};  // nanoseconds; 0: not yet
    std::atomic<int> ends = 0;                      // confirmed, consumed
  };

  mutable std::shared_mutex run_;  // exclusive: the run changes
  std::int64_t first_ = 0;
  std::size_t size_ = 0;
  std::unique_ptr<message[]> messages_;
  std::atomic<std::size_t> arrived_ = 0, awaited_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
};

// {"count": …, "p10": …, …, "max": …}, in microseconds.
std::string percentiles(const std::vector<double>& ascending);

}  // namespace outboxd::bench
