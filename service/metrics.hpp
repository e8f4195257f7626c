// Everything /metrics says. published(), confirmed() and render() are called on one thread, the
// relay's; the other hooks may be called from any. Nothing here blocks on the database or the
// broker.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "relay/observer.hpp"
#include "relay/relay.hpp"

namespace outboxd::service {

class metrics final : public relay::observer {
 public:
  metrics();
  ~metrics() override;

  void published(std::size_t body_bytes) override;
  void confirmed(std::optional<std::chrono::microseconds> since_created,
                 std::chrono::microseconds since_publish) override;
  void failed(relay::verdict what) override;
  void unknown(relay::doubt why) override;
  void died(relay::verdict why) override;
  void read(std::size_t rows) override;
  void notified() override;
  void lead_changed(bool leading) override;
  void broker_reconnected() override;
  void broker_channel_error(int code) override;
  void broker_blocked_for(std::chrono::microseconds duration) override;
  void purged(std::size_t rows) override;

  // The database lanes. operation: one of those in the table of metrics.
  void db_query(std::string_view operation, std::chrono::microseconds duration);
  void db_reconnected();

  void logged(base::severity level);
  void schema_version(int version);

  // The exposition, text format 0.0.4; the gauges come from `now`.
  std::string render(const relay::status& now);

 private:
  class impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace outboxd::service
