// The log seam: a stable event name, then key=value fields. One line per state change, none per
// message above debug, never a payload or a secret. Implemented in service/log; callable from any
// thread.
#pragma once

#include <concepts>
#include <span>
#include <string>
#include <string_view>

namespace outboxd::base {

enum class severity { debug, info, warn, error };

struct field {
  std::string_view key;
  std::string value;
  bool bare = false;  // a whole number or a truth value: JSON needs no quotes

  field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  field(std::string_view k, std::string_view v) : key(k), value(v) {}
  field(std::string_view k, const char* v) : key(k), value(v) {}
  field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), bare(true) {}
  template <typename T>
  requires(std::integral<T> || std::floating_point<T>) field(std::string_view k, T v)
      : key(k), value(std::to_string(v)), bare(std::integral<T>) {}
};

class logger {
 public:
  virtual ~logger() = default;

  void debug(std::string_view event, std::initializer_list<field> f = {}) {
    write(severity::debug, event, f);
  }
  void info(std::string_view event, std::initializer_list<field> f = {}) {
    write(severity::info, event, f);
  }
  void warn(std::string_view event, std::initializer_list<field> f = {}) {
    write(severity::warn, event, f);
  }
  void error(std::string_view event, std::initializer_list<field> f = {}) {
    write(severity::error, event, f);
  }

  // event: lower-case words joined by dots, e.g. "lead.gained". Must not throw.
  virtual void write(severity level, std::string_view event, std::span<const field> fields) = 0;
  void write(severity level, std::string_view event, std::initializer_list<field> f) {
    write(level, event, std::span<const field>(f.begin(), f.size()));
  }
};

}  // namespace outboxd::base
