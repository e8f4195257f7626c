// PostgreSQL's text formats: what is decoded is what a slow and plain reader finds, and what is
// written comes back.
#include "outbox/pg_text.hpp"

#include <boost/uuid/uuid_io.hpp>

#include <optional>
#include <stdexcept>

#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace outboxd;

template <typename Decode>
auto unless_refused(Decode decode) -> std::optional<decltype(decode())> {
  try {
    return decode();
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string hex(std::string_view bytes) {
  std::string text = "\\x";
  for (const char c : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    text += two;
  }
  return text;
}

// {"a","b\"c"} with every element in quotes, as the server would read it.
std::vector<std::string> read_array(std::string_view text) {
  std::vector<std::string> all;
  fuzz::ensure(text.size() >= 2 && text.front() == '{' && text.back() == '}', "an array in braces");
  text = text.substr(1, text.size() - 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    fuzz::ensure(text[i] == '"', "an element in quotes", text);
    std::string one;
    for (++i; i < text.size() && text[i] != '"'; ++i) one += text[i] == '\\' ? text[++i] : text[i];
    all.push_back(one);
    if (++i < text.size()) fuzz::ensure(text[i] == ',', "a comma", text);
  }
  return all;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  const std::string text = in.rest();

  if (const auto id = unless_refused([&] { return outbox::parse_uuid(text); }))
    fuzz::ensure(to_string(*id) == lower(text), "a uuid is kept", text);
  if (const auto bytes = unless_refused([&] { return outbox::decode_bytea(text); }))
    fuzz::ensure(hex(*bytes) == "\\x" + lower(text).substr(2), "a bytea is kept", text);
  fuzz::ensure(outbox::decode_bytea(hex(text)) == text, "every byte can be sent");

  std::vector<std::string> lines;
  for (fuzz::input each(data, size); !each.empty();) lines.push_back(each.line());
  fuzz::ensure(read_array(outbox::text_array(lines)) == lines, "an array is kept");

  const std::size_t limit = text.size() / 2;
  const std::string stored = outbox::storable_text(text, limit);
  fuzz::ensure(stored.size() <= limit, "a stored text fits");
  fuzz::ensure(stored.find('\0') == std::string::npos, "a stored text has no zero byte");
  fuzz::ensure(outbox::storable_text(stored, limit) == stored, "a stored text stays as it is");
  return 0;
}
