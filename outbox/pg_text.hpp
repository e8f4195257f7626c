// PostgreSQL's text formats, both ways: array literals, uuids, bytea. Pure.
#pragma once

#include <boost/uuid/uuid.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd::outbox {

// '{"a","b"}': every element quoted, so that commas, braces, quotes, blanks and the word NULL are
// safe.
std::string text_array(const std::vector<std::string>& values);
std::string bigint_array(const std::vector<std::int64_t>& values);

// The 36-character form. Throws std::runtime_error on anything else.
boost::uuids::uuid parse_uuid(std::string_view text);

// bytea_output = hex: "\x" and two digits a byte. Throws std::runtime_error on anything else.
std::string decode_bytea(std::string_view text);

// At most `limit` bytes of valid UTF-8 without NUL: the server refuses anything else, and texts of
// strangers (a broker's reply) must not make a statement fail for ever.
std::string storable_text(std::string_view text, std::size_t limit);

}  // namespace outboxd::outbox
