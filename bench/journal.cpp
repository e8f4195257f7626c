#include "bench/journal.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <utility>

namespace outboxd::bench {

std::int64_t journal::begin_run(std::size_t messages) {
  const std::lock_guard lock(run_);
  first_ += static_cast<std::int64_t>(size_);
  size_ = messages;
  messages_ = std::make_unique<message[]>(messages);
  arrived_ = awaited_ = 0;
  return first_;
}

std::int64_t journal::number_in(std::string_view body) {
  if (body.size() < digits) return -1;
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(body.data(), body.data() + digits, number);
  return error == std::errc{} && end == body.data() + digits ? number : -1;
}

void journal::note(std::int64_t number, moment what, clock::time_point when) {
  const std::shared_lock lock(run_);
  const std::int64_t index = number - first_;
  if (number < 0 || index < 0 || index >= static_cast<std::int64_t>(size_)) return;
  message& m = messages_[static_cast<std::size_t>(index)];
  std::int64_t not_yet = 0;
  const auto at = std::chrono::nanoseconds(when.time_since_epoch()).count();
  if (!m.at[static_cast<std::size_t>(what)].compare_exchange_strong(not_yet, at)) return;
  const bool end = what == moment::confirmed || what == moment::consumed;
  if (!end || ++m.ends < 2 || ++arrived_ != awaited_) return;
  const std::lock_guard telling(mutex_);
  changed_.notify_all();
}

bool journal::await(std::size_t messages, std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  awaited_ = messages;
  return changed_.wait_for(lock, limit, [&] { return arrived_ >= messages; });
}

std::vector<double> journal::between(moment from, moment to, std::size_t first, std::size_t last,
                                     std::size_t step) const {
  const std::shared_lock lock(run_);
  std::vector<double> all;
  for (std::size_t i = first; i < std::min(last, size_); i += step) {
    const std::int64_t a = messages_[i].at[static_cast<std::size_t>(from)];
    const std::int64_t b = messages_[i].at[static_cast<std::size_t>(to)];
    if (a != 0 && b != 0) all.push_back(static_cast<double>(b - a) / 1'000.0);
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::string percentiles(const std::vector<double>& ascending) {
  std::ostringstream out;
  out << "{\"count\": " << ascending.size();
  const std::array<std::pair<const char*, double>, 9> wanted{{{"p10", 0.10},
                                                              {"p25", 0.25},
                                                              {"p50", 0.50},
                                                              {"p75", 0.75},
                                                              {"p90", 0.90},
                                                              {"p95", 0.95},
                                                              {"p99", 0.99},
                                                              {"p999", 0.999},
                                                              {"max", 1.0}}};
  for (const auto& [name, share] : wanted) {
    if (ascending.empty()) break;
    // The nearest rank.
    const auto rank = std::ceil(share * static_cast<double>(ascending.size()));
    out << ", \"" << name << "\": " << ascending[static_cast<std::size_t>(rank) - 1];
  }
  out << "}";
  return out.str();
}

}  // namespace outboxd::bench
