// A row of outbox.messages as the relay sees it. Plain values; no database type leaves outbox/.
#pragma once

#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace outboxd::outbox {

// The identity of a row, everywhere. A crashed or failed-over database can hand out an id again, so
// an id alone never settles anything.
struct row_ref {
  std::int64_t id = 0;
  boost::uuids::uuid message_id{};

  friend bool operator==(const row_ref&, const row_ref&) = default;
  friend auto operator<=>(const row_ref& a, const row_ref& b) {
    if (auto c = a.id <=> b.id; c != 0) return c;
    return a.message_id < b.message_id   ? std::strong_ordering::less
           : b.message_id < a.message_id ? std::strong_ordering::greater
                                         : std::strong_ordering::equal;
  }
};

// Of the id alone: a second row with the same one is rare, and unequal.
struct row_ref_hash {
  std::size_t operator()(const row_ref& r) const noexcept {
    return std::hash<std::int64_t>{}(r.id);
  }
};

struct message {
  row_ref ref;
  std::string exchange;
  std::string routing_key;
  std::optional<std::string> ordering_key;

  // Sent byte for byte. Large bodies and headers are read only when they are about to be published:
  // until then body_loaded is false and only their sizes (bytes) are known.
  std::string body;
  std::size_t body_size = 0;
  std::size_t headers_size = 0;
  bool body_loaded = false;
  bool is_binary = false;  // payload_bytes, not payload: decides the default content type

  std::optional<std::string> content_type, content_encoding, type, correlation_id, reply_to, app_id;
  std::optional<std::uint8_t> priority;
  std::optional<std::int64_t> expiration_ms;
  std::optional<std::string> headers;  // the JSON object as PostgreSQL prints it
  bool mandatory = true;

  std::chrono::system_clock::time_point created_at;  // database clock
  // Since it was written, or is due once more; database clock, when the row was read.
  std::chrono::microseconds age{0};
  int attempts = 0;                          // failed attempts so far
  std::chrono::microseconds failing_for{0};  // since its first failure, when it was read
  bool deferred = false;                     // scheduled, failed or sent again; else it is pending
  bool sent_before = false;                  // an operator has it sent once more
};

}  // namespace outboxd::outbox
