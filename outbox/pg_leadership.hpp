// The lead over PostgreSQL: one lane with one session, which holds the advisory lock, listens and
// pings. Made, called and told about on the executor's thread (one thread), but for call(), which
// any thread may ask while this lives. The destructor closes the session.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "outbox/db_call.hpp"
#include "outbox/leadership.hpp"

namespace outboxd::outbox {

struct lead_options {
  std::function<std::string()> url;  // as in pg_options
  std::string schema = "outbox";     // validated (schema.hpp)
  std::string application_name = "outboxd";
  std::string instance;  // written down with the lead, for people
  bool listen = true;    // false: OUTBOX_WAKE=poll
  // A statement that is not answered within this costs the session; above its statement_timeout.
  std::chrono::milliseconds answer_within{8'000};
  std::function<double()> jitter;  // as in pg_options

  // Optional, on the executor.
  std::function<void(std::string_view operation, std::chrono::microseconds)> on_query;
  std::function<void()> on_reconnect;
  std::function<void(int)> on_schema_version;  // whenever the database was asked for it
};

class pg_leadership final : public leadership {
 public:
  pg_leadership(boost::asio::any_io_executor executor, lead_options options, base::logger& log);
  ~pg_leadership() override;

  void start(leadership_events& events) override;
  void stop(std::function<void()> done) override;
  void try_wake_lock(std::function<void(base::result<bool>)> done) override;
  void release_wake_lock() override;
  bool leads_for_certain() const override;

  // What its lane does now.
  std::optional<db_call> call() const;

 private:
  class impl;
  std::shared_ptr<impl> impl_;
};

}  // namespace outboxd::outbox
