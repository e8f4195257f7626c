// What the admin API asks of the database: a seam. Every call opens a connection of its own,
// blocks, and closes it; on the thread of blocking_calls, whose call it is told, so that it can be
// cut off.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "outbox/dead_rows.hpp"
#include "outbox/pauses.hpp"
#include "service/blocking_calls.hpp"
#include "service/settings.hpp"

namespace outboxd::service {

class admin_database {
 public:
  virtual ~admin_database() = default;

  virtual base::result<std::vector<outbox::dead_row>> list_dead(
      blocking_call& call, const outbox::dead_row_filter& which, std::int64_t after,
      std::size_t limit) = 0;
  // Fails with not_ready when there is no such row.
  virtual base::result<outbox::dead_row_in_full> show_dead(blocking_call& call,
                                                           std::int64_t id) = 0;
  virtual base::result<std::size_t> count_dead(blocking_call& call,
                                               const outbox::dead_row_filter& which) = 0;
  virtual base::result<std::size_t> decide_dead(blocking_call& call,
                                                const outbox::dead_row_filter& which,
                                                outbox::dead_row_fate what) = 0;

  virtual base::result<std::vector<outbox::pause>> list_pauses(blocking_call& call) = 0;
  virtual base::result<void> begin_pause(blocking_call& call, const outbox::pause_scope& scope,
                                         std::optional<std::chrono::seconds> lasting,
                                         const std::string& reason) = 0;
  virtual base::result<bool> end_pause(blocking_call& call, const outbox::pause_scope& scope) = 0;
};

// With the sidecar's own login.
std::unique_ptr<admin_database> make_admin_database(const settings& s);

}  // namespace outboxd::service
