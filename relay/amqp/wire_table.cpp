#include "relay/amqp/wire_table.hpp"

#include "relay/amqp/field_table.hpp"
#include "relay/amqp/frame.hpp"

namespace outboxd::relay::amqp {
namespace {

bool skip(std::string_view bytes, std::size_t& offset, std::size_t n) {
  if (bytes.size() - offset < n) return false;
  offset += n;
  return true;
}

// A 32-bit length and what it announces; the announced part becomes `content`.
bool take_long(std::string_view bytes, std::size_t& offset, std::string_view& content) {
  if (bytes.size() - offset < 4) return false;
  const std::size_t length = read_u32(bytes.data() + offset);
  offset += 4;
  content = bytes.substr(offset, length);
  return skip(bytes, offset, length);
}

bool sound_table(std::string_view content, std::size_t depth);
bool sound_array(std::string_view content, std::size_t depth);

bool skip_value(std::string_view bytes, std::size_t& offset, std::size_t depth) {
  if (offset == bytes.size()) return false;
  const char kind = bytes[offset++];
  std::string_view content;
  switch (kind) {
    case AMQP_FIELD_KIND_VOID:
      return true;
    case AMQP_FIELD_KIND_BOOLEAN:
    case AMQP_FIELD_KIND_I8:
    case AMQP_FIELD_KIND_U8:
      return skip(bytes, offset, 1);
    case AMQP_FIELD_KIND_I16:
    case AMQP_FIELD_KIND_U16:
      return skip(bytes, offset, 2);
    case AMQP_FIELD_KIND_I32:
    case AMQP_FIELD_KIND_U32:
    case AMQP_FIELD_KIND_F32:
      return skip(bytes, offset, 4);
    case AMQP_FIELD_KIND_I64:
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_F64:
    case AMQP_FIELD_KIND_TIMESTAMP:
      return skip(bytes, offset, 8);
    case AMQP_FIELD_KIND_DECIMAL:
      return skip(bytes, offset, 5);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
      return take_long(bytes, offset, content);
    case AMQP_FIELD_KIND_TABLE:
      return take_long(bytes, offset, content) && sound_table(content, depth + 1);
    case AMQP_FIELD_KIND_ARRAY:
      return take_long(bytes, offset, content) && sound_array(content, depth + 1);
    default:
      return false;
  }
}

bool sound_table(std::string_view content, std::size_t depth) {
  if (depth > max_table_depth) return false;
  for (std::size_t offset = 0; offset < content.size();)
    if (!skip_short_string(content, offset) || !skip_value(content, offset, depth)) return false;
  return true;
}

bool sound_array(std::string_view content, std::size_t depth) {
  if (depth > max_table_depth) return false;
  for (std::size_t offset = 0; offset < content.size();)
    if (!skip_value(content, offset, depth)) return false;
  return true;
}

}  // namespace

bool skip_short_string(std::string_view bytes, std::size_t& offset) {
  if (offset >= bytes.size()) return false;
  const std::size_t length = read_u8(bytes.data() + offset);
  ++offset;
  return skip(bytes, offset, length);
}

bool skip_table(std::string_view bytes, std::size_t& offset) {
  if (offset > bytes.size()) return false;
  std::string_view content;
  return take_long(bytes, offset, content) && sound_table(content, 1);
}

}  // namespace outboxd::relay::amqp
