// OUTBOX_AUTO_MIGRATE: applies the migrations beside the running relay, which waits for the schema
// by itself, and tries again until it worked. The attempts block, so they have a thread of their
// own. Everything else happens on the executor. stop() is idempotent and legal before start(); the
// destructor waits for an attempt under way.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <optional>

#include "base/log.hpp"
#include "outbox/migrator.hpp"

namespace outboxd::service {

class auto_migration {
 public:
  using attempt = std::function<base::result<outbox::migrate_report>()>;

  auto_migration(boost::asio::any_io_executor executor, attempt work, base::logger& log);
  ~auto_migration();

  // tried: once, after the first attempt, whatever came of it.
  void start(std::function<void()> tried);
  void stop();

 private:
  void try_once();
  void finished(const base::result<outbox::migrate_report>& result);

  boost::asio::any_io_executor executor_;
  attempt work_;
  base::logger& log_;
  boost::asio::steady_timer pause_;
  std::chrono::milliseconds next_pause_{1'000};
  std::function<void()> tried_;
  bool stopping_ = false;
  std::optional<boost::asio::thread_pool> thread_;  // from start() on
};

}  // namespace outboxd::service
