// Drives the relay core: hands it what the database, the broker and the clock report, and does what
// it says. Owns nothing but the core; store, leadership and publisher outlive it. One thread (the
// executor's), no lock. Stops by drain(): stop reading, wait for the confirms, write the marks,
// close the broker, give the lead away.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "outbox/leadership.hpp"
#include "outbox/store.hpp"
#include "relay/observer.hpp"
#include "relay/options.hpp"
#include "relay/publisher.hpp"

namespace outboxd::relay {

struct lane_status {
  bool open = false;
  bool blocked = false;
  std::string detail;  // why it is not open or blocked
};

// A destination whose rows wait because several of them failed: an exchange with a routing key, or
// (none) the whole exchange.
struct hold_status {
  std::string exchange;
  std::optional<std::string> routing_key;
  std::string reason;                                      // of the last failure
  std::chrono::milliseconds since{0};                      // it has been held for so long
  std::optional<std::chrono::milliseconds> next_probe_in;  // none: a probe is under way
  int probes = 0;                                          // that failed
};

// What an operator has stopped.
struct pause_status {
  outbox::pause_scope scope;
  std::string reason, by;
  std::chrono::milliseconds since{0};
  std::optional<std::chrono::milliseconds> ends_in;  // none: until it is resumed
};

// For /readyz, /metrics and the status page. Cheap; taken on the io thread.
struct status {
  outbox::lead_state lead = outbox::lead_state::connecting;
  std::string lead_detail;
  bool draining = false;
  std::vector<lane_status> lanes;
  bool store_ok = true;      // the last statement succeeded
  std::string store_detail;  // the last failure
  std::size_t rows_in_memory = 0;
  std::size_t unconfirmed = 0;
  std::size_t held_keys = 0;
  std::vector<hold_status> holds;
  std::vector<pause_status> pauses;
  std::optional<lane_status> quarantine;  // none: not needed now
  std::optional<std::chrono::microseconds> oldest_unconfirmed_age;
  std::optional<outbox::backlog> backlog;  // as last measured; only while leading
  // Database clock, extrapolated while the database is away; absent on stand-bys.
  std::optional<std::chrono::microseconds> oldest_pending_age;
};

enum class drain_result { clean, unconfirmed_left };

class relay {
 public:
  relay(boost::asio::any_io_executor executor, outbox::store& store, outbox::leadership& leadership,
        publisher& publisher, options opts, base::logger& log, observer& metrics);
  ~relay();

  void start();

  // Idempotent. `done` is called once, at the latest shortly after `limit`. A second call with a
  // shorter limit shortens the first.
  void drain(std::chrono::milliseconds limit, std::function<void(drain_result)> done);

  status current() const;

 private:
  class impl;
  std::shared_ptr<impl> impl_;
};

}  // namespace outboxd::relay
