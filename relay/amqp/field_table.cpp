#include "relay/amqp/field_table.hpp"

#include <boost/json/basic_parser_impl.hpp>

#include "relay/amqp/json_table_reader.hpp"

namespace outboxd::relay::amqp {

field_table::field_table() : arena_(first_block_.data(), first_block_.size()), entries_(&arena_) {
  entries_.reserve(8);
}

std::optional<std::string> field_table::add_json(std::string_view json) {
  boost::json::parse_options options;
  options.max_depth = max_table_depth;
  boost::json::basic_parser<json_table_reader> parser(options, arena_, entries_);
  boost::system::error_code ec;
  const std::size_t used = parser.write_some(false, json.data(), json.size(), ec);
  const json_table_reader& reader = parser.handler();
  if (!reader.problem().empty()) return reader.problem();
  if (ec == boost::json::error::too_deep)
    return "header \"" + reader.where() + "\": nested deeper than " +
           std::to_string(max_table_depth) + " levels";
  if (ec) return "headers cannot be read at \"" + reader.where() + "\": " + ec.message();
  if (used != json.size()) return "headers are followed by something else";
  encoded_size_ += reader.encoded_size();
  return std::nullopt;
}

void field_table::add(std::string_view name, std::int64_t value) {
  amqp_table_entry_t e{};
  e.key = as_bytes(name);
  e.value.kind = AMQP_FIELD_KIND_I64;
  e.value.value.i64 = value;
  entries_.push_back(e);
  encoded_size_ += 1 + name.size() + 1 + 8;
}

void field_table::add(std::string_view name, std::string_view text) {
  amqp_table_entry_t e{};
  e.key = as_bytes(name);
  e.value.kind = AMQP_FIELD_KIND_UTF8;
  e.value.value.bytes = as_bytes(text);
  entries_.push_back(e);
  encoded_size_ += 1 + name.size() + 1 + 4 + text.size();
}

amqp_table_t field_table::view() {
  return {static_cast<int>(entries_.size()), entries_.data()};
}

}  // namespace outboxd::relay::amqp
