#include <array>
#include <cstdio>
#include <ctime>

#include "base/text.hpp"
#include "service/log.hpp"

namespace outboxd::service {
namespace {

void append_escape(std::string& out, std::uint32_t value) {
  std::array<char, 8> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "\\u%04x", static_cast<unsigned>(value & 0xffffu));
  out += buffer.data();
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto [length, value] = base::first_code_point(text);
    if (length == 0)
      out += "\\ufffd";
    else if (value == '"' || value == '\\')
      (out += '\\') += static_cast<char>(value);
    else if (value == '\n')
      out += "\\n";
    else if (value == '\t')
      out += "\\t";
    else if (base::is_control(value))
      append_escape(out, value);
    else
      out += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

bool needs_quotes(std::string_view text) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/,@+*";
  return text.empty() || text.find_first_not_of(plain) != std::string_view::npos;
}

}  // namespace

std::string timestamp(std::chrono::system_clock::time_point when) {
  using namespace std::chrono;
  const auto ms = floor<milliseconds>(when).time_since_epoch().count();
  const auto seconds =
      static_cast<std::time_t>(floor<std::chrono::seconds>(when).time_since_epoch().count());
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> buffer{};
  const auto length = std::strftime(buffer.data(), buffer.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::string out(buffer.data(), length);
  std::snprintf(buffer.data(), buffer.size(), ".%03dZ", static_cast<int>(ms - seconds * 1'000));
  return out += buffer.data();
}

std::string_view to_string(base::severity level) {
  switch (level) {
    case base::severity::debug:
      return "debug";
    case base::severity::info:
      return "info";
    case base::severity::warn:
      return "warn";
    case base::severity::error:
      return "error";
  }
  return "?";
}

base::severity to_severity(std::string_view name) {
  for (const auto level : {base::severity::debug, base::severity::warn, base::severity::error}) {
    if (name == to_string(level)) return level;
  }
  return base::severity::info;
}

log_format to_log_format(std::string_view name, bool terminal) {
  if (name == "auto") return terminal ? log_format::text : log_format::json;
  return name == "text" ? log_format::text : log_format::json;
}

std::string render_line(log_format format, std::chrono::system_clock::time_point when,
                        base::severity level, std::string_view event, std::string_view instance,
                        std::span<const base::field> fields) {
  const bool json = format == log_format::json;
  std::string out;
  out += json ? R"({"ts":")" : "";
  out += timestamp(when);
  out += json ? R"(","level":")" : " ";
  out += to_string(level);
  if (json) {
    out += R"(","event":)";
    append_quoted(out, event);
    out += R"(,"instance":)";
    append_quoted(out, instance);
  } else {
    out.append(6 - to_string(level).size(), ' ');
    out += event;
  }
  for (const auto& f : fields) {
    out += json ? "," : " ";
    if (json)
      append_quoted(out, f.key);
    else
      out += f.key;
    out += json ? ":" : "=";
    const bool quoted = json ? !f.bare : needs_quotes(f.value);
    if (quoted)
      append_quoted(out, f.value);
    else
      out += f.value;
  }
  if (json) out += '}';
  return out;
}

}  // namespace outboxd::service
