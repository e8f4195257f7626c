// A message's headers as an AMQP field table: JSON becomes string → longstr (S), integer → int64
// (l), other number → double (d), bool (t), null → void (V), object → table (F), array → array (A).
// What would not survive that, or would make RabbitMQ close the channel or the connection, is
// refused here: rabbitmq-c writes a corrupt frame for an over-long name and reports success.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/amqp/rabbitmq_c.hpp"

namespace outboxd::relay::amqp {

// Objects and arrays inside each other, the headers object itself included. PostgreSQL takes
// thousands of levels; every consumer library parses them recursively.
inline constexpr std::size_t max_table_depth = 64;

// Built once for each message; small tables stay on the stack.
class field_table {
 public:
  field_table();
  field_table(const field_table&) = delete;
  field_table& operator=(const field_table&) = delete;

  // The text of a JSON object. Returns what is wrong with it, naming the header; the table must not
  // be used then. Whether a number is an integer is told by how it is written: 1.0 and 1e2 are
  // doubles (and jsonb itself prints 1e2 as 100). A number that no finite double holds, or rounds
  // to zero, is refused.
  std::optional<std::string> add_json(std::string_view json);

  // Name and text must outlive the table.
  void add(std::string_view name, std::int64_t value);
  void add(std::string_view name, std::string_view text);

  amqp_table_t view();
  std::size_t encoded_size() const { return encoded_size_; }  // bytes on the wire, length included

 private:
  std::array<std::byte, 4096> first_block_;
  std::pmr::monotonic_buffer_resource arena_;
  std::pmr::vector<amqp_table_entry_t> entries_;
  std::size_t encoded_size_ = 4;
};

}  // namespace outboxd::relay::amqp
