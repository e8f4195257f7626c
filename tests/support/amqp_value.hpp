// A value of an AMQP 0-9-1 field table together with its type on the wire, so that a test can tell
// an int64 from an int32 and a string from bytes. Printable, for failure messages.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace outboxd::tests {

struct amqp_value;
using amqp_table = std::map<std::string, amqp_value>;
using amqp_array = std::vector<amqp_value>;

struct amqp_value {
  // The type octet: 'S' longstr, 'l' int64, 'I' int32, 'd' double, 't' bool, 'V' void, 'F' table,
  // 'A' array, 'T' timestamp, 'x' bytes, …
  char type = 'V';
  std::variant<std::monostate, bool, std::int64_t, double, std::string, amqp_table, amqp_array>
      value = {};

  static amqp_value nothing() { return {}; }
  static amqp_value boolean(bool v) { return {'t', v}; }
  static amqp_value int32(std::int32_t v) { return {'I', std::int64_t{v}}; }
  static amqp_value int64(std::int64_t v) { return {'l', v}; }
  static amqp_value real(double v) { return {'d', v}; }
  static amqp_value text(std::string v) { return {'S', std::move(v)}; }
  static amqp_value table(amqp_table v) { return {'F', std::move(v)}; }
  static amqp_value array(amqp_array v) { return {'A', std::move(v)}; }

  friend bool operator==(const amqp_value&, const amqp_value&) = default;
};

// E.g. {"attempt": l 3, "tags": A [S "a", V null]}
std::ostream& operator<<(std::ostream& out, const amqp_value& v);

}  // namespace outboxd::tests
