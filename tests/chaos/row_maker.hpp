// What a writer puts into a row: destination, key, body, and now and then poison. Pure; the same
// seed makes the same rows.
#pragma once

#include "tests/chaos/facts.hpp"
#include "tests/chaos/luck.hpp"

namespace outboxd::chaos {

struct new_row {
  std::string exchange, routing_key, headers;  // headers: JSON, or empty
  std::vector<std::string> queues = {};
  std::optional<std::string> key = {};
  bool serialize = false;  // the key is shared with other writers
  std::string body;
  bool binary = false;
  std::optional<moment> scheduled_in = {};
  poison bad = poison::none;
};

struct row_limits {
  std::size_t most_waiting_poison = 40;
  std::size_t over_the_brokers_limit = 0, over_our_limit = 0;  // sizes of bodies
};

class row_maker {
 public:
  row_maker(int writer, row_limits limits) : writer_(writer), limits_(limits) {}

  // shared_key: that of the transaction, which a part of its rows have. name: goes into the body,
  // so that no two bodies are the same.
  new_row make(luck& chance, const std::string& shared_key, const std::string& name);

 private:
  poison choose_poison(luck& chance);
  void spoil(new_row& row, const std::string& name);

  const int writer_;
  const row_limits limits_;
  std::size_t waiting_poison_ = 0;
};

}  // namespace outboxd::chaos
