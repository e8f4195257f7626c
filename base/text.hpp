// Texts of others (a broker, a database, people) on their way to a line of ours: what is UTF-8,
// and how a text is cut and kept on one line. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace outboxd::base {

struct code_point {
  std::size_t length = 0;  // in bytes; 0: not UTF-8
  std::uint32_t value = 0;
};

// At the front of a text that is not empty (RFC 3629: no overlong forms, no surrogates, nothing
// above U+10FFFF).
inline code_point first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, lead};
  const std::size_t length = lead >= 0xf8   ? 0
                             : lead >= 0xf0 ? 4
                             : lead >= 0xe0 ? 3
                             : lead >= 0xc0 ? 2
                                            : 0;
  if (length == 0 || length > text.size()) return {};
  std::uint32_t value = lead & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3fu);
  }
  constexpr std::array<std::uint32_t, 5> lowest{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  if (value < lowest[length] || value > 0x10ffff || surrogate) return {};
  return {length, value};
}

// C0, DEL and C1.
constexpr bool is_control(std::uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
}

// What is_kept refuses becomes one of these; what is not UTF-8 becomes '?', byte by byte.
template <typename IsKept>
std::string replace_unless(std::string_view text, char instead, IsKept is_kept) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [length, value] = first_code_point(text);
    if (length == 0)
      out += '?';
    else if (is_kept(value))
      out += text.substr(0, length);
    else
      out += instead;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

// Control characters become a space.
inline std::string one_line(std::string_view text) {
  return replace_unless(text, ' ', [](std::uint32_t value) { return !is_control(value); });
}

// What PostgreSQL and JSON take for a text: UTF-8 without NUL, which becomes '?'.
inline std::string as_text(std::string_view text) {
  return replace_unless(text, '?', [](std::uint32_t value) { return value != 0; });
}

// The longest prefix of at most `limit` bytes that does not end inside a UTF-8 sequence.
inline std::string_view cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0u) == 0x80) --limit;
  return text.substr(0, limit);
}

inline bool has_control(std::string_view text) {
  while (!text.empty()) {
    const auto [length, value] = first_code_point(text);
    if (length > 0 && is_control(value)) return true;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return false;
}

}  // namespace outboxd::base
