// Sent and dead rows in bulk, for an operator: sent again, or deleted, one page of the table after
// the other, so that no statement takes long. One connection for all pages; blocks; one thread.
// Wants the relay's or the operator's role.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "outbox/dead_rows.hpp"
#include "outbox/point_in_time.hpp"

namespace outboxd::outbox {

struct row_page_options {
  std::string url;                // a libpq URI or key/value string
  std::string schema = "outbox";  // validated (schema.hpp)
  std::string application_name;
  int version = 2;  // of the schema, at least; dead() is content with 1
};

// Of the rows that were sent in that time: all that is set must be so. Of nothing but `until`:
// every row.
struct sent_row_filter {
  std::optional<std::string> since, until;  // as now() and resolve() write it
  std::optional<std::string> exchange, routing_key, ordering_key, type;
  std::optional<std::int64_t> id;
};

struct old_row_filter {
  std::optional<std::chrono::milliseconds> sent_older_than, dead_older_than;
  bool keep_dead_keys = true;  // dead rows with an ordering key stay: they may hold it
};

struct row_page {
  std::size_t rows = 0;
  std::optional<std::int64_t> last_id;  // the next page is behind it; none: that was all
};

class row_pages {
 public:
  // Fails with not_ready where the schema is too old.
  static base::result<row_pages> open(const row_page_options& options);

  row_pages(row_pages&&) noexcept;
  row_pages& operator=(row_pages&&) noexcept;
  ~row_pages();

  // "2026-11-21T10:00:00.123456Z", by the database's clock; now where that is in the future.
  base::result<std::string> resolve(const point_in_time& when);

  // What the next page has, of at most `batch` rows, lowest ids first: becomes due once more, or is
  // deleted; or, when only counted, neither.
  base::result<row_page> replay(const sent_row_filter& which, std::int64_t after, int batch,
                                bool count_only);
  base::result<row_page> purge(const old_row_filter& which, std::int64_t after, int batch,
                               bool count_only);
  // Dead rows with an ordering key, given up so long ago.
  base::result<std::size_t> count_dead_keys(std::chrono::milliseconds older_than);
  base::result<row_page> dead(const dead_row_filter& which, dead_row_fate what, std::int64_t after,
                              int batch, bool count_only);

 private:
  class impl;
  explicit row_pages(std::unique_ptr<impl> i);

  std::unique_ptr<impl> impl_;
};

}  // namespace outboxd::outbox
