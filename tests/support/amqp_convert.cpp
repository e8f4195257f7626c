#include "tests/support/amqp_convert.hpp"

#include <stdexcept>

namespace outboxd::tests {
namespace {

amqp_value read_value(const amqp_field_value_t& field) {
  const auto integer = [&](std::int64_t v) { return amqp_value{static_cast<char>(field.kind), v}; };
  switch (static_cast<amqp_field_value_kind_t>(field.kind)) {
    case AMQP_FIELD_KIND_VOID:
      return amqp_value::nothing();
    case AMQP_FIELD_KIND_BOOLEAN:
      return amqp_value::boolean(field.value.boolean != 0);
    case AMQP_FIELD_KIND_I8:
      return integer(field.value.i8);
    case AMQP_FIELD_KIND_U8:
      return integer(field.value.u8);
    case AMQP_FIELD_KIND_I16:
      return integer(field.value.i16);
    case AMQP_FIELD_KIND_U16:
      return integer(field.value.u16);
    case AMQP_FIELD_KIND_I32:
      return integer(field.value.i32);
    case AMQP_FIELD_KIND_U32:
      return integer(field.value.u32);
    case AMQP_FIELD_KIND_I64:
      return integer(field.value.i64);
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
      return integer(static_cast<std::int64_t>(field.value.u64));
    case AMQP_FIELD_KIND_F32:
      return {'f', static_cast<double>(field.value.f32)};
    case AMQP_FIELD_KIND_F64:
      return amqp_value::real(field.value.f64);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
      return {static_cast<char>(field.kind), read_bytes(field.value.bytes)};
    case AMQP_FIELD_KIND_TABLE:
      return amqp_value::table(read_table(field.value.table));
    case AMQP_FIELD_KIND_ARRAY: {
      const amqp_field_value_t* first = field.value.array.entries;
      amqp_array values;
      for (int i = 0; i < field.value.array.num_entries; ++i)
        values.push_back(read_value(first[i]));
      return amqp_value::array(std::move(values));
    }
    case AMQP_FIELD_KIND_DECIMAL:
      break;
  }
  throw std::runtime_error(std::string("a field of type ") + static_cast<char>(field.kind));
}

// One entry per property of text: its flag, and its place on both sides.
struct text_property {
  amqp_flags_t flag;
  amqp_bytes_t amqp_basic_properties_t::*theirs;
  std::optional<std::string> amqp_properties::*ours;
};

using theirs = amqp_basic_properties_t;
using ours = amqp_properties;
constexpr text_property text_properties[] = {
    {AMQP_BASIC_CONTENT_TYPE_FLAG, &theirs::content_type, &ours::content_type},
    {AMQP_BASIC_CONTENT_ENCODING_FLAG, &theirs::content_encoding, &ours::content_encoding},
    {AMQP_BASIC_CORRELATION_ID_FLAG, &theirs::correlation_id, &ours::correlation_id},
    {AMQP_BASIC_REPLY_TO_FLAG, &theirs::reply_to, &ours::reply_to},
    {AMQP_BASIC_EXPIRATION_FLAG, &theirs::expiration, &ours::expiration},
    {AMQP_BASIC_MESSAGE_ID_FLAG, &theirs::message_id, &ours::message_id},
    {AMQP_BASIC_TYPE_FLAG, &theirs::type, &ours::type},
    {AMQP_BASIC_USER_ID_FLAG, &theirs::user_id, &ours::user_id},
    {AMQP_BASIC_APP_ID_FLAG, &theirs::app_id, &ours::app_id},
};

}  // namespace

std::string read_bytes(amqp_bytes_t bytes) {
  return bytes.len == 0 ? std::string() : std::string(static_cast<char*>(bytes.bytes), bytes.len);
}

amqp_bytes_t as_bytes(const std::string& text) {
  return {text.size(), const_cast<char*>(text.data())};  // the library only reads it
}

amqp_table read_table(const amqp_table_t& table) {
  amqp_table result;
  for (int i = 0; i < table.num_entries; ++i)
    result[read_bytes(table.entries[i].key)] = read_value(table.entries[i].value);
  return result;
}

amqp_properties read_properties(const amqp_basic_properties_t& from) {
  amqp_properties to;
  for (const text_property& p : text_properties)
    if (from._flags & p.flag) to.*p.ours = read_bytes(from.*p.theirs);
  if (from._flags & AMQP_BASIC_DELIVERY_MODE_FLAG) to.delivery_mode = from.delivery_mode;
  if (from._flags & AMQP_BASIC_PRIORITY_FLAG) to.priority = from.priority;
  if (from._flags & AMQP_BASIC_TIMESTAMP_FLAG) to.timestamp = from.timestamp;
  if (from._flags & AMQP_BASIC_HEADERS_FLAG) to.headers = read_table(from.headers);
  return to;
}

amqp_field_value_t amqp_writer::value(const amqp_value& from) {
  amqp_field_value_t to{};
  to.kind = static_cast<std::uint8_t>(from.type);
  switch (from.type) {
    case 'V':
      break;
    case 't':
      to.value.boolean = std::get<bool>(from.value) ? 1 : 0;
      break;
    case 'I':
      to.value.i32 = static_cast<std::int32_t>(std::get<std::int64_t>(from.value));
      break;
    case 'l':
      to.value.i64 = std::get<std::int64_t>(from.value);
      break;
    case 'd':
      to.value.f64 = std::get<double>(from.value);
      break;
    case 'S':
      to.value.bytes = as_bytes(std::get<std::string>(from.value));
      break;
    case 'F':
      to.value.table = table(std::get<amqp_table>(from.value));
      break;
    case 'A': {
      std::vector<amqp_field_value_t> values;
      for (const amqp_value& v : std::get<amqp_array>(from.value)) values.push_back(value(v));
      auto& kept = arrays_.emplace_back(std::move(values));
      to.value.array = {static_cast<int>(kept.size()), kept.data()};
      break;
    }
    default:
      throw std::invalid_argument(std::string("cannot write a field of type ") + from.type);
  }
  return to;
}

amqp_table_t amqp_writer::table(const amqp_table& from) {
  std::vector<amqp_table_entry_t> entries;
  for (const auto& [name, v] : from) entries.push_back({as_bytes(name), value(v)});
  auto& kept = tables_.emplace_back(std::move(entries));
  return {static_cast<int>(kept.size()), kept.data()};
}

amqp_basic_properties_t amqp_writer::properties(const amqp_properties& from) {
  amqp_basic_properties_t to{};
  for (const text_property& p : text_properties) {
    if (const auto& text = from.*p.ours) {
      to._flags |= p.flag;
      to.*p.theirs = as_bytes(*text);
    }
  }
  if (from.delivery_mode) {
    to._flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
    to.delivery_mode = static_cast<std::uint8_t>(*from.delivery_mode);
  }
  if (from.priority) {
    to._flags |= AMQP_BASIC_PRIORITY_FLAG;
    to.priority = static_cast<std::uint8_t>(*from.priority);
  }
  if (from.timestamp) {
    to._flags |= AMQP_BASIC_TIMESTAMP_FLAG;
    to.timestamp = *from.timestamp;
  }
  if (from.headers) {
    to._flags |= AMQP_BASIC_HEADERS_FLAG;
    to.headers = table(*from.headers);
  }
  return to;
}

}  // namespace outboxd::tests
