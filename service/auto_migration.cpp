#include "service/auto_migration.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace outboxd::service {

constexpr std::chrono::milliseconds longest_pause{30'000};

auto_migration::auto_migration(boost::asio::any_io_executor executor, attempt work,
                               base::logger& log)
    : executor_(std::move(executor)), work_(std::move(work)), log_(log), pause_(executor_) {}

auto_migration::~auto_migration() {
  if (thread_) thread_->join();
}

void auto_migration::start(std::function<void()> tried) {
  tried_ = std::move(tried);
  thread_.emplace(1);
  try_once();
}

void auto_migration::stop() {
  stopping_ = true;
  pause_.cancel();
}

void auto_migration::try_once() {
  boost::asio::post(*thread_, [this] {
    boost::asio::post(executor_, [this, result = work_()] { finished(result); });
  });
}

void auto_migration::finished(const base::result<outbox::migrate_report>& result) {
  if (stopping_) return;
  if (tried_) std::exchange(tried_, nullptr)();
  if (result) {
    log_.info("schema.migrated",
              {{"version", result->version}, {"applied", result->applied.size()}});
    if (!result->grants_to_run.empty()) {
      log_.warn(
          "schema.grants_missing",
          {{"hint", "run outboxd migrate up to see the SQL that an administrator has to run"}});
    }
    return;
  }
  log_.error("schema.migration_failed",
             {{"error", result.error().text}, {"retry_in_ms", next_pause_.count()}});
  pause_.expires_after(next_pause_);
  pause_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && !stopping_) try_once();
  });
  next_pause_ = std::min(next_pause_ * 2, longest_pause);
}

}  // namespace outboxd::service
