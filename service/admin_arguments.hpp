// The named values of a query or of a JSON body, each taken once. Whatever is wrong is remembered,
// and so is what nobody took: a filter that is misspelt must not become none at all. Pure.
#pragma once

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outboxd::service {

class arguments {
 public:
  // "exchange=x&since=2h", percent-encoded.
  static arguments of_query(std::string_view query);
  // {"exchange": "x", "since": "2h", "id": 7, "dry_run": true}
  static arguments of_body(std::string_view body);

  // Valid UTF-8 without NUL, of at most so many bytes.
  std::optional<std::string> text(std::string_view name, std::size_t longest = 255);
  // And without control characters.
  std::optional<std::string> line(std::string_view name, std::size_t longest = 255);
  std::optional<std::int64_t> number(std::string_view name, std::int64_t lowest,
                                     std::int64_t highest);
  // "2h", in whole seconds, rounded up.
  std::optional<std::chrono::seconds> duration(std::string_view name);
  bool flag(std::string_view name);

  // The first mistake, once everything was taken; empty when there is none.
  std::string mistake() const;

 private:
  std::optional<boost::json::value> take(std::string_view name);
  void complain(std::string_view name, std::string_view what);

  boost::json::object values_;
  std::string mistake_;
  bool query_ = false;  // then numbers are texts too
};

}  // namespace outboxd::service
