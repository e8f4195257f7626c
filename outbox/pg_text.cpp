#include "outbox/pg_text.hpp"

#include <array>
#include <stdexcept>

#include "base/text.hpp"

namespace outboxd::outbox {
namespace {

constexpr std::string_view digits = "0123456789abcdef";
constexpr std::uint8_t not_a_digit = 0xff;

constexpr std::array<std::uint8_t, 256> make_digit_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(not_a_digit);
  for (std::uint8_t i = 0; i < 16; ++i) values[static_cast<unsigned char>(digits[i])] = i;
  for (std::uint8_t i = 0; i < 6; ++i)
    values[static_cast<unsigned char>('A' + i)] = static_cast<std::uint8_t>(10 + i);
  return values;
}
constexpr auto digit_values = make_digit_values();

std::uint8_t digit_value(char c) {
  return digit_values[static_cast<unsigned char>(c)];
}

template <typename T, typename Append>
std::string array_of(const std::vector<T>& values, Append append) {
  std::string out = "{";
  bool first = true;
  for (const auto& value : values) {
    if (!first) out += ',';
    first = false;
    append(out, value);
  }
  return out += '}';
}

}  // namespace

std::string text_array(const std::vector<std::string>& values) {
  return array_of(values, [](std::string& out, const std::string& value) {
    out += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  });
}

std::string bigint_array(const std::vector<std::int64_t>& values) {
  return array_of(values,
                  [](std::string& out, std::int64_t value) { out += std::to_string(value); });
}

boost::uuids::uuid parse_uuid(std::string_view text) {
  boost::uuids::uuid id{};
  if (text.size() != 36) throw std::runtime_error("not a uuid");
  std::size_t from = 0;
  for (auto& byte : id) {
    if (from == 8 || from == 13 || from == 18 || from == 23) {
      if (text[from] != '-') throw std::runtime_error("not a uuid");
      ++from;
    }
    const auto high = digit_value(text[from]);
    const auto low = digit_value(text[from + 1]);
    if (high == not_a_digit || low == not_a_digit) throw std::runtime_error("not a uuid");
    byte = static_cast<std::uint8_t>(high << 4 | low);
    from += 2;
  }
  return id;
}

std::string decode_bytea(std::string_view text) {
  if (!text.starts_with("\\x") || text.size() % 2 != 0)
    throw std::runtime_error("not a bytea in hex");
  text.remove_prefix(2);
  std::string out(text.size() / 2, '\0');
  std::uint8_t seen = 0;  // not_a_digit is the only value with a bit above the lower four
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = digit_value(text[2 * i]);
    const auto low = digit_value(text[2 * i + 1]);
    seen = static_cast<std::uint8_t>(seen | high | low);
    out[i] = static_cast<char>(high << 4 | low);
  }
  if ((seen & 0xf0) != 0) throw std::runtime_error("not a bytea in hex");
  return out;
}

std::string storable_text(std::string_view text, std::size_t limit) {
  return std::string(base::cut(base::as_text(text), limit));
}

}  // namespace outboxd::outbox
