// Texts of a broker or a database on their way to a log line: one line of UTF-8, and JSON where it
// says so.
#include <boost/json/parse.hpp>

#include "base/text.hpp"
#include "outbox/pg_text.hpp"
#include "service/log.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace outboxd;

bool is_one_line(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  return true;
}

bool is_utf8(const std::string& text) {
  boost::system::error_code error;
  std::string quoted = "\"";
  for (const char c : text) (c == '"' || c == '\\' ? quoted += '\\' : quoted) += c;
  boost::json::parse(quoted + "\"", error);
  return !error;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in(data, size);
  const std::size_t limit = in.u8();
  const std::string text = in.rest();

  const std::string line = base::one_line(text);
  fuzz::ensure(is_one_line(line) && is_utf8(line), "a broker's text becomes a line", line);
  fuzz::ensure(base::one_line(line) == line, "a line stays as it is");
  const std::string_view piece = base::cut(line, limit);
  fuzz::ensure(piece.size() <= limit || line.size() <= limit, "a cut text fits");
  fuzz::ensure(is_utf8(std::string(piece)), "no character is cut", piece);
  fuzz::ensure(outbox::storable_text(line, line.size()) == line, "a line can be stored");

  const std::vector<base::field> fields{{"text", text}, {"n", 1}};
  const auto write = [&](service::log_format format) {
    return service::render_line(format, {}, base::severity::warn, "amqp.disconnected", text,
                                fields);
  };
  const std::string json = write(service::log_format::json);
  fuzz::ensure(is_one_line(json), "a log line is one line", json);
  boost::system::error_code error;
  boost::json::parse(json, error);
  fuzz::ensure(!error, "a JSON log line can be read", json);
  fuzz::ensure(is_one_line(write(service::log_format::text)), "a log line is one line");
  return 0;
}
