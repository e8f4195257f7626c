#include "examples/user_card/demo/process.hpp"

#include <chrono>
#include <csignal>
#include <sstream>

namespace user_card::demo {
namespace {

constexpr std::chrono::seconds time_to_stop{25};  // a little more than outboxd grants itself

}  // namespace

process::process(settings chosen) : settings_(std::move(chosen)) {
  command_.argv = {"/bin/sh", "-c", R"(exec "$@" >>"$0" 2>&1)", log().string()};
  command_.argv.insert(command_.argv.end(), settings_.command.begin(), settings_.command.end());
  command_.env = settings_.variables;
}

process::~process() {
  stop();
}

void process::start() {
  const std::lock_guard lock(mutex_);
  child_.emplace(command_);
}

void process::kill() {
  const std::lock_guard lock(mutex_);
  note_crash();
  child_.reset();
}

void process::stop() {
  const std::lock_guard lock(mutex_);
  if (!child_) return;
  note_crash();
  child_->kill(SIGTERM);
  child_->wait(time_to_stop);
  child_.reset();
}

std::string process::crash() {
  const std::lock_guard lock(mutex_);
  note_crash();
  return crash_;
}

void process::note_crash() {
  if (!child_ || !crash_.empty()) return;
  if (const auto status = child_->wait(std::chrono::milliseconds(0))) {
    std::ostringstream text;
    text << name() << " ended by itself (" << *status << "); its log is " << log().string();
    crash_ = text.str();
  }
}

}  // namespace user_card::demo
