#include "tests/support/amqp_value.hpp"

#include <iomanip>
#include <ostream>

namespace outboxd::tests {
namespace {

struct printer {
  std::ostream& out;

  void operator()(std::monostate) const { out << "null"; }
  void operator()(bool v) const { out << (v ? "true" : "false"); }
  void operator()(std::int64_t v) const { out << v; }
  void operator()(double v) const { out << std::setprecision(17) << v; }
  void operator()(const std::string& v) const { out << std::quoted(v); }

  void operator()(const amqp_table& v) const {
    const char* separator = "{";
    for (const auto& [name, value] : v) {
      out << separator << std::quoted(name) << ": " << value;
      separator = ", ";
    }
    out << (v.empty() ? "{}" : "}");
  }

  void operator()(const amqp_array& v) const {
    const char* separator = "[";
    for (const auto& value : v) {
      out << separator << value;
      separator = ", ";
    }
    out << (v.empty() ? "[]" : "]");
  }
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const amqp_value& v) {
  out << v.type << ' ';
  std::visit(printer{out}, v.value);
  return out;
}

}  // namespace outboxd::tests
