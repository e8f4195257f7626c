// Between the structures of rabbitmq-c and plain values. Reading copies; what a writer returns
// points into the writer and into what it was given.
#pragma once

#include "base/compat.hpp"
#include "tests/support/amqp_probe.hpp"
#include "tests/support/amqp_value.hpp"

#include <deque>
#include <string>
#include <vector>

namespace outboxd::tests {

std::string read_bytes(amqp_bytes_t bytes);
amqp_table read_table(const amqp_table_t& table);
amqp_properties read_properties(const amqp_basic_properties_t& properties);

amqp_bytes_t as_bytes(const std::string& text);

class amqp_writer {
 public:
  amqp_table_t table(const amqp_table& from);
  amqp_basic_properties_t properties(const amqp_properties& from);

 private:
  amqp_field_value_t value(const amqp_value& from);

  // Deques, because their elements stay where they are.
  std::deque<std::vector<amqp_table_entry_t>> tables_;
  std::deque<std::vector<amqp_field_value_t>> arrays_;
};

}  // namespace outboxd::tests
