// What the shared RabbitMQ has complained about since this object was made: connections and
// channels that it closed over an error. It writes its log a moment after the fact: provoke a
// complaint that must be there, wait for it, and everything before it is there too.
#pragma once

#include <string>
#include <vector>

namespace outboxd::tests {

class broker_log {
 public:
  broker_log();

  // Lines of level error about a connection or a channel.
  std::vector<std::string> complaints() const;

  // Provokes a complaint, a passive declare of what is not there, and waits for it; returns the
  // others.
  std::vector<std::string> other_complaints(const std::string& url) const;

 private:
  std::string file_;
  std::size_t begin_;
};

}  // namespace outboxd::tests
