// What a queue holds once the work is done: which rows, which of them twice, and whether the first
// deliveries of each key follow the ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace outboxd::tests {

struct queue_contents {
  std::vector<std::int64_t> ids;  // in the order of their first delivery
  std::size_t duplicates = 0;
  std::vector<std::string> out_of_order;  // for people: the key and the two ids

  std::set<std::int64_t> distinct() const { return {ids.begin(), ids.end()}; }
};

// Takes everything off the queue. Nobody else may consume from it or publish to it meanwhile.
queue_contents take_all(const std::string& amqp_url, const std::string& queue);

}  // namespace outboxd::tests
