// A command as somebody types it into a shell. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "outbox/point_in_time.hpp"

namespace outboxd::service {

class typed_line {
 public:
  explicit typed_line(std::string verb) : line_(std::move(verb)) {}

  // Whatever the text holds is one word. What is not there is not written.
  void add(const char* option, const std::optional<std::string>& text);
  void add(const char* option, const std::optional<outbox::point_in_time>& when);
  void add_number(const char* option, const std::optional<std::int64_t>& number);
  void add_flag(const char* option, bool given);
  // --exchange, --routing-key, --key, --type and --id
  template <typename Filter>
  void add_filter(const Filter& which) {
    add("--exchange", which.exchange);
    add("--routing-key", which.routing_key);
    add("--key", which.ordering_key);
    add("--type", which.type);
    add_number("--id", which.id);
  }

  const std::string& text() const { return line_; }

 private:
  void append(const char* option, const std::string& value);

  std::string line_;
};

}  // namespace outboxd::service
