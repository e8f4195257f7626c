// What Linux knows about this process, for the process_* metrics.
#pragma once

#include <optional>
#include <string_view>

namespace outboxd::service {

struct process_sample {
  double cpu_seconds = 0, start_time_seconds = 0;
  double resident_bytes = 0, virtual_bytes = 0;
  double open_fds = 0, max_fds = 0;
  double threads = 0;
};

// Pure: the content of /proc/self/stat (proc(5)); start_time_seconds counts from the boot. Nothing
// when it is not of that form.
std::optional<process_sample> parse_stat(std::string_view stat, double ticks_per_second,
                                         double page_size);

// Reads /proc/self; nothing where there is no /proc.
std::optional<process_sample> sample_process();

}  // namespace outboxd::service
