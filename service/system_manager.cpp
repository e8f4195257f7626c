#include "service/system_manager.hpp"

#include <systemd/sd-daemon.h>

#include <cstdint>
#include <cstdlib>
#include <utility>

#include "base/text.hpp"

namespace outboxd::service {
namespace {

constexpr std::size_t longest_status = 1'000;  // systemd reads no message that is larger than 4,096

}  // namespace

system_manager::system_manager(const boost::asio::any_io_executor& executor)
    : timer_(executor), listens_(std::getenv("NOTIFY_SOCKET") != nullptr) {
  std::uint64_t limit = 0;  // microseconds
  // Twice as often as wanted, as sd_watchdog_enabled(3) recommends.
  if (::sd_watchdog_enabled(0, &limit) > 0) interval_ = std::chrono::microseconds(limit / 2);
}

void system_manager::started() {
  ::sd_notify(0, "READY=1");
  if (interval_.count() > 0) beat();
}

void system_manager::says(std::string_view what) {
  std::string status(base::cut(base::one_line(what), longest_status));
  if (status == status_) return;
  status_ = std::move(status);
  ::sd_notify(0, ("STATUS=" + status_).c_str());
}

void system_manager::stopping() {
  ::sd_notify(0, "STOPPING=1");
}

void system_manager::close() {
  closed_ = true;
  timer_.cancel();
}

void system_manager::beat() {
  ::sd_notify(0, "WATCHDOG=1");
  timer_.expires_after(interval_);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && !closed_) beat();
  });
}

}  // namespace outboxd::service
