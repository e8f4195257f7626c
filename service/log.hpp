// base::logger on stderr through spdlog: text for people, JSON for machines, one line per call.
// Callable from any thread. Never throws and never blocks: a line that does not fit into the pipe
// at once is dropped and counted, and the next line that fits says how many were. A line is never
// too long for a pipe: its values are shortened.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.hpp"

namespace spdlog {
class logger;
}

namespace outboxd::service {

enum class log_format { text, json };

struct log_options {
  base::severity lowest = base::severity::info;
  log_format format = log_format::json;
  std::string instance{};
  int descriptor = 2;
  std::function<void(base::severity)> on_line = [](base::severity) {};  // for log_messages_total
};

class log final : public base::logger {
 public:
  explicit log(log_options opts);
  ~log() override;

  void write(base::severity level, std::string_view event,
             std::span<const base::field> fields) override;

 private:
  std::string fitting_line(base::severity level, std::string_view event,
                           std::span<const base::field> fields) const;

  log_options opts_;
  std::unique_ptr<spdlog::logger> out_;
};

std::string_view to_string(base::severity level);
// The four names of OUTBOX_LOG_LEVEL; anything else is `info`.
base::severity to_severity(std::string_view name);
// OUTBOX_LOG_FORMAT: `auto` is text on a terminal and JSON elsewhere.
log_format to_log_format(std::string_view name, bool terminal);

// Pure: "2026-11-21T10:00:00.123Z".
std::string timestamp(std::chrono::system_clock::time_point when);

// Pure: the line without its newline. Control characters are escaped and bytes that are not UTF-8
// are replaced, so that a broker's or a database's text can neither forge a line nor move a cursor.
std::string render_line(log_format format, std::chrono::system_clock::time_point when,
                        base::severity level, std::string_view event, std::string_view instance,
                        std::span<const base::field> fields);

}  // namespace outboxd::service
