#include "service/log.hpp"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <mutex>
#include <utility>
#include <vector>

#include "base/text.hpp"

namespace outboxd::service {
namespace {

// A pipe that poll() calls writable takes this much without blocking (pipe(7)), all of it or
// nothing.
constexpr std::size_t max_line = 4096;
constexpr std::size_t max_value = 1000;

class prompt_sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  prompt_sink(int descriptor, log_format format, std::string instance)
      : descriptor_(descriptor), format_(format), instance_(std::move(instance)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    if (line.size() > max_line || !send({line.data(), line.size()})) ++dropped_;
  }
  void flush_() override {}

  bool send(std::string_view line) {
    if (!writable()) return false;
    if (dropped_ > 0) {
      const base::field lost("lines", std::exchange(dropped_, 0u));
      auto note = render_line(format_, std::chrono::system_clock::now(), base::severity::warn,
                              "log.dropped", instance_, {&lost, 1});
      note += '\n';
      if (!write_all(note) || !writable()) return false;
    }
    return write_all(line);
  }

  bool writable() const {
    pollfd p{descriptor_, POLLOUT, 0};
    return ::poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
  }

  bool write_all(std::string_view line) const {
    return ::write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  }

  const int descriptor_;
  const log_format format_;
  const std::string instance_;
  unsigned dropped_ = 0;
};

spdlog::level::level_enum to_spdlog(base::severity level) {
  switch (level) {
    case base::severity::debug:
      return spdlog::level::debug;
    case base::severity::info:
      return spdlog::level::info;
    case base::severity::warn:
      return spdlog::level::warn;
    case base::severity::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

log::log(log_options opts)
    : opts_(std::move(opts)),
      out_(std::make_unique<spdlog::logger>(
          "outboxd",
          std::make_shared<prompt_sink>(opts_.descriptor, opts_.format, opts_.instance))) {
  // The line is complete when it gets there; spdlog adds the newline and the lock.
  out_->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
  out_->set_level(to_spdlog(opts_.lowest));
}

log::~log() = default;

void log::write(base::severity level, std::string_view event, std::span<const base::field> fields) {
  const auto spd_level = to_spdlog(level);
  if (!out_->should_log(spd_level)) return;
  opts_.on_line(level);
  out_->log(spd_level, spdlog::string_view_t(fitting_line(level, event, fields)));
}

// Values are shortened until it fits, the longest first: what somebody did must not go unlogged
// because of the words that came with it. An escaped character has up to six bytes.
std::string log::fitting_line(base::severity level, std::string_view event,
                              std::span<const base::field> fields) const {
  const auto now = std::chrono::system_clock::now();
  std::vector<base::field> shortened(fields.begin(), fields.end());
  for (std::size_t longest = max_value;; longest /= 2) {
    for (auto& f : shortened) {
      if (!f.bare) f.value.resize(base::cut(f.value, longest).size());
    }
    auto line = render_line(opts_.format, now, level, event, opts_.instance, shortened);
    if (line.size() < max_line || longest == 0) return line;  // and its newline
  }
}

}  // namespace outboxd::service
