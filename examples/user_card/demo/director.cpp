#include "examples/user_card/demo/director.hpp"

#include "examples/user_card/service.hpp"

#include <exception>

namespace user_card::demo {

director::director(std::vector<fault> faults, narrator say)
    : faults_(std::move(faults)),
      say_(std::move(say)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

std::string director::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::string director::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void director::set(std::string& text, const std::string& value) {
  const std::lock_guard lock(mutex_);
  text = value;
}

void director::run(const std::stop_token& stop) {
  try {
    for (const auto& each : faults_) {
      while (share_ < each.when && !stop.stop_requested())
        pause(stop, std::chrono::milliseconds(50));
      if (stop.stop_requested()) return;
      set(current_, each.title);
      say_(each.title);
      each.strike(stop);
      set(current_, "");
    }
  } catch (const std::exception& error) {
    set(failure_, current() + ": " + error.what());
  }
  done_ = true;
}

}  // namespace user_card::demo
