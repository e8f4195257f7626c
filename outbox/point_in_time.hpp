// A time by the database's clock.
#pragma once

#include <chrono>
#include <string>

namespace outboxd::outbox {

// So long ago, or what is written here (ISO 8601 with a zone).
struct point_in_time {
  std::chrono::milliseconds ago{0};
  std::string at;  // wins where it is not empty
};

}  // namespace outboxd::outbox
