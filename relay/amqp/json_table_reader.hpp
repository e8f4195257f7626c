// Turns the events of Boost.JSON's parser into field table entries. One object of it reads one
// text.
#pragma once

#include <boost/json/basic_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

#include "relay/amqp/rabbitmq_c.hpp"

namespace outboxd::relay::amqp {

class json_table_reader {
  using error_code = boost::system::error_code;
  using text = boost::json::string_view;

 public:
  // The entries are left in `entries`; everything they point to lives in `arena`.
  json_table_reader(std::pmr::memory_resource& arena, std::pmr::vector<amqp_table_entry_t>& entries)
      : arena_(arena), entries_(entries), open_(&arena), partial_(&arena) {}

  const std::string& problem() const { return problem_; }
  std::size_t encoded_size() const {
    return encoded_size_;
  }  // of the entries, without a length field

  // The header that is being read, as "a.b.c".
  std::string where() const;

  // What basic_parser requires of a handler. Limits are left to the caller: the text is already in
  // memory.
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code& ec) { return open(false, ec); }
  bool on_object_end(std::size_t, error_code& ec) { return close_object(ec); }
  bool on_array_begin(error_code& ec) { return open(true, ec); }
  bool on_array_end(std::size_t, error_code& ec) { return close_array(ec); }
  bool on_key_part(text s, std::size_t, error_code&) { return hold(s); }
  bool on_key(text s, std::size_t, error_code& ec) { return name(whole(s), ec); }
  bool on_string_part(text s, std::size_t, error_code&) { return hold(s); }
  bool on_string(text s, std::size_t, error_code& ec) { return string(whole(s), ec); }
  bool on_number_part(text s, error_code&) { return hold(s); }
  bool on_int64(std::int64_t, text s, error_code& ec) { return number(whole(s), ec); }
  bool on_uint64(std::uint64_t, text s, error_code& ec) { return number(whole(s), ec); }
  bool on_double(double, text s, error_code& ec) { return number(whole(s), ec); }
  bool on_bool(bool value, error_code& ec);
  bool on_null(error_code& ec);
  bool on_comment_part(text, error_code&) { return true; }
  bool on_comment(text, error_code&) { return true; }

 private:
  struct level {
    bool array;
    std::string_view name;  // of this object or array in its parent
    std::size_t first;      // its first child in entries_
  };

  bool hold(text s);
  std::string_view whole(text s);  // the pieces held before it and s, in the arena
  bool open(bool array, error_code& ec);
  bool close_object(error_code& ec);
  bool close_array(error_code& ec);
  bool name(std::string_view s, error_code& ec);
  bool string(std::string_view s, error_code& ec);
  bool number(std::string_view digits, error_code& ec);
  bool add(const amqp_field_value_t& value, std::size_t size, error_code& ec);
  bool refuse(std::string_view why, error_code& ec);

  std::pmr::memory_resource& arena_;
  std::pmr::vector<amqp_table_entry_t>& entries_;  // children of every open level, innermost last
  std::pmr::vector<level> open_;
  std::pmr::string partial_;
  std::string_view name_;  // of the value that comes next; empty inside an array
  std::size_t encoded_size_ = 0;
  std::string problem_;
};

}  // namespace outboxd::relay::amqp
