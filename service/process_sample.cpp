#include "service/process_sample.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>

namespace outboxd::service {
namespace {

std::string first_line(const char* path) {
  std::string line;
  std::ifstream in(path);
  std::getline(in, line);
  return line;
}

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// The boot in seconds since the epoch. "btime" in /proc/stat is not there under systemd's
// ProcSubset=pid.
double boot_time() {
  return seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME);
}

double count_open_fds() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end;
       at.increment(error))
    ++count;
  return count > 0 ? count - 1 : 0;  // without the one that lists them
}

}  // namespace

std::optional<process_sample> parse_stat(std::string_view stat, double ticks_per_second,
                                         double page_size) {
  // The second field is the command in parentheses and may hold anything; count from behind it.
  const auto command_end = stat.rfind(") ");
  if (command_end == std::string_view::npos) return std::nullopt;
  stat.remove_prefix(command_end + 2);
  // Fields 3 (state) to 24 (rss).
  std::array<double, 22> fields{};
  for (auto& field : fields) {
    const auto end = std::min(stat.find(' '), stat.size());
    const auto word = stat.substr(0, end);
    const bool is_state = &field == fields.data();
    if (!is_state &&
        std::from_chars(word.data(), word.data() + word.size(), field).ec != std::errc{})
      return std::nullopt;
    stat.remove_prefix(std::min(end + 1, stat.size()));
  }
  const auto number = [&](std::size_t as_in_the_manual) { return fields[as_in_the_manual - 3]; };
  process_sample sample;
  sample.cpu_seconds = (number(14) + number(15)) / ticks_per_second;
  sample.threads = number(20);
  sample.start_time_seconds = number(22) / ticks_per_second;
  sample.virtual_bytes = number(23);
  sample.resident_bytes = number(24) * page_size;
  return sample;
}

std::optional<process_sample> sample_process() {
  static const double boot = boot_time();
  auto sample =
      parse_stat(first_line("/proc/self/stat"), static_cast<double>(::sysconf(_SC_CLK_TCK)),
                 static_cast<double>(::sysconf(_SC_PAGESIZE)));
  if (!sample) return std::nullopt;
  sample->start_time_seconds += boot;
  sample->open_fds = count_open_fds();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
    sample->max_fds = static_cast<double>(limit.rlim_cur);
  return sample;
}

}  // namespace outboxd::service
