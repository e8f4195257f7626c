// A program that runs beside the demo and can be killed and started again; its output is appended
// to a file. Any thread may call, one call at a time is served.
#pragma once

#include "tests/support/child_process.hpp"

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace user_card::demo {

using environment = std::map<std::string, std::string>;

class process {
 public:
  struct settings {
    std::string name;
    std::vector<std::string> command;
    environment variables;
    std::filesystem::path log;
  };

  explicit process(settings chosen);
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  void start();
  void kill();  // kill -9, and waits until it is dead
  void stop();  // SIGTERM, and kill -9 if that does not end it in time

  // How it ended although nobody here asked it to, or empty. Remembered when it is started again:
  // a crash must not hide behind the next kill.
  std::string crash();

  const std::string& name() const { return settings_.name; }
  const std::filesystem::path& log() const { return settings_.log; }

 private:
  void note_crash();

  const settings settings_;
  outboxd::tests::command command_;
  std::mutex mutex_;
  std::optional<outboxd::tests::child_process> child_;
  std::string crash_;
};

}  // namespace user_card::demo
