#include "service/typed_line.hpp"

#include "service/units.hpp"

namespace outboxd::service {
namespace {

std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += R"('\'')";
    } else {
      out += c;
    }
  }
  return out += '\'';
}

}  // namespace

void typed_line::append(const char* option, const std::string& value) {
  line_ += std::string(" ") + option + " " + value;
}

void typed_line::add(const char* option, const std::optional<std::string>& text) {
  if (text) append(option, shell_quoted(*text));
}

void typed_line::add(const char* option, const std::optional<outbox::point_in_time>& when) {
  if (when) append(option, when->at.empty() ? format_duration(when->ago) : when->at);
}

void typed_line::add_number(const char* option, const std::optional<std::int64_t>& number) {
  if (number) append(option, std::to_string(*number));
}

void typed_line::add_flag(const char* option, bool given) {
  if (given) line_ += std::string(" ") + option;
}

}  // namespace outboxd::service
