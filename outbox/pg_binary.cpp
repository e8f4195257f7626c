#include "outbox/pg_binary.hpp"

#include <boost/endian/conversion.hpp>

#include <cstdint>

namespace outboxd::outbox {
namespace {

// Of pg_type, where they never change.
constexpr std::int32_t bigint_oid = 20;
constexpr std::int32_t uuid_oid = 2950;

template <typename T>
void append(std::string& out, T value) {
  boost::endian::native_to_big_inplace(value);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// What array_recv() of the server reads (src/backend/utils/adt/arrayfuncs.c): the header, then the
// elements, each behind its length.
template <typename Append>
binary_parameter array_of(const std::vector<row_ref>& rows, std::int32_t oid, std::int32_t size,
                          Append append_element) {
  binary_parameter array;
  std::string& out = array.bytes;
  const std::size_t header = 5 * sizeof(std::int32_t);
  out.reserve(header + rows.size() * (sizeof size + static_cast<std::size_t>(size)));
  append(out, std::int32_t{1});  // dimensions
  append(out, std::int32_t{0});  // none of the elements is null
  append(out, oid);
  append(out, static_cast<std::int32_t>(rows.size()));
  append(out, std::int32_t{1});  // the first index
  for (const row_ref& row : rows) {
    append(out, size);
    append_element(out, row);
  }
  return array;
}

}  // namespace

binary_parameter ids_of(const std::vector<row_ref>& rows) {
  return array_of(rows, bigint_oid, sizeof(row_ref::id),
                  [](std::string& out, const row_ref& row) { append(out, row.id); });
}

binary_parameter message_ids_of(const std::vector<row_ref>& rows) {
  return array_of(rows, uuid_oid, sizeof(row_ref::message_id),
                  [](std::string& out, const row_ref& row) {
                    out.append(row.message_id.begin(), row.message_id.end());
                  });
}

}  // namespace outboxd::outbox
