// Rows that were given up, for an operator: which there are, and what becomes of them. Each call
// opens a connection of its own, blocks, and closes it; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "outbox/point_in_time.hpp"

namespace outboxd::outbox {

struct dead_row_options {
  std::string url;                // a libpq URI or key/value string
  std::string schema = "outbox";  // validated (schema.hpp)
  std::string application_name = "outboxd dead";
  // Told, once it is connected, how another thread cuts the call off: it fails then.
  std::function<void(std::function<void()> cut_off)> connected = {};
};

// All that is set must be so; nothing set: every dead row.
struct dead_row_filter {
  std::optional<std::string> exchange, routing_key, ordering_key, type;
  std::optional<std::string> reason;   // the word before the colon of last_error: "too_large"
  std::optional<point_in_time> since;  // given up at this time or later
  std::optional<std::int64_t> id;
};

struct dead_row {
  std::int64_t id = 0;
  std::string message_id, exchange, routing_key;
  std::optional<std::string> ordering_key, type;
  int attempts = 0;
  std::string created_at, died_at;  // ISO 8601, UTC
  std::string last_error;
};

// One row with what is only wanted of one.
struct dead_row_in_full {
  dead_row row;
  std::optional<std::string> headers, content_type;
  std::size_t body_size = 0;  // bytes
  bool body_is_text = true;
  std::string body_beginning;  // at most 4,096 characters of a text; of bytes, at most 4,096 in hex
};

// Lowest ids first, behind `after`, at most `limit` of them.
base::result<std::vector<dead_row>> list_dead(const dead_row_options& options,
                                              const dead_row_filter& which, std::int64_t after,
                                              std::size_t limit);
base::result<std::size_t> count_dead(const dead_row_options& options, const dead_row_filter& which);
// Fails with not_ready when there is no such dead row.
base::result<dead_row_in_full> show_dead(const dead_row_options& options, std::int64_t id);

enum class dead_row_fate { retry, discard };

// Decides about all of them, a thousand in a statement, by outbox.retry and outbox.discard. Answers
// with their number. What has been done stays done when a later statement fails.
base::result<std::size_t> decide_dead(const dead_row_options& options, const dead_row_filter& which,
                                      dead_row_fate what);

}  // namespace outboxd::outbox
