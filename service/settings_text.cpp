#include "service/settings_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>

#include "service/settings_table.hpp"

namespace outboxd::service {
namespace {

void append_padded(std::string& out, std::string_view text, std::size_t width) {
  out += text;
  out.append(width > text.size() ? width - text.size() : 0, ' ');
}

std::string default_text(const setting& row) {
  if (!row.default_value.empty()) return std::string(row.default_value);
  return row.fallback.empty() ? "" : std::string(row.fallback);
}

std::string code(std::string_view text) {
  return text.empty() ? "" : "`" + std::string(text) + "`";
}

constexpr std::string_view reference_introduction = R"(# Configuration

`outboxd` is configured by environment variables. This page is printed by
`outboxd config --reference configuration`; a test compares the two.

)";

constexpr std::string_view rules[] = {
    "A duration is a whole number with a unit: `500ms`, `20s`, `5m`, `24h`, `30d`.",
    ("A size is a whole number with a unit: `512B`, `64KiB`, `16MiB`, `1GiB` (`kB`, `MB` and `GB` "
     "count by 1000)."),
    "A bare number is an error, except `0`.",
    "An empty variable counts as not set.",
    ("Every secret `X` may be given as `X_FILE`, the path of a file that holds it; setting both is "
     "an error."),
    ("Such a file is read again at each reconnect, so a rotated secret needs no restart. One "
     "trailing newline is ignored."),
    ("A variable that begins with `OUTBOX_` and is not listed here draws a warning with the "
     "nearest name."),
    "All mistakes are reported together, and `outboxd` exits with 78.",
};

constexpr std::string_view example_introduction =
    R"(# Settings of one outboxd with their defaults: outboxd@NAME.service reads /etc/outboxd/NAME.env.
# What each of them accepts stands in outboxd.env(5). Put values into single quotes.
)";

}  // namespace

std::span<const std::string_view> settings_rules() {
  return rules;
}

std::string default_in_words(const setting& row) {
  std::string words = code(row.fallback);
  if (!words.empty() && !row.default_value.empty()) words += ", then ";
  return words + code(row.default_value);
}

std::string meaning(const setting& row) {
  return std::string(row.sentence);
}

std::string render_settings(const loaded_settings& loaded, output_format format) {
  if (format == output_format::json) {
    boost::json::array all;
    for (const auto& s : loaded.shown) {
      all.push_back(
          boost::json::object{{"name", s.name}, {"value", s.value}, {"origin", s.origin}});
    }
    return boost::json::serialize(all) + "\n";
  }
  std::size_t name_width = 0, value_width = 0;
  for (const auto& s : loaded.shown) {
    name_width = std::max(name_width, s.name.size());
    value_width = std::max(value_width, s.value.size());
  }
  std::string out;
  for (const auto& s : loaded.shown) {
    append_padded(out, s.name, name_width + 2);
    append_padded(out, s.value, value_width + 2);
    out += s.origin + "\n";
  }
  return out;
}

std::string settings_help() {
  std::string out = "Environment (secrets also as <NAME>_FILE):\n";
  for (const auto& row : settings_table()) {
    append_padded(out, "  " + std::string(row.name), 32);
    out += row.sentence;
    if (const auto text = default_text(row); !text.empty()) out += " [" + text + "]";
    out += "\n";
  }
  return out;
}

std::string settings_reference() {
  std::string out(reference_introduction);
  for (const auto rule : rules) out += "- " + std::string(rule) + "\n";
  out += "\n`outboxd config` prints every setting, its value and where it came from.\n";
  std::string_view group;
  for (const auto& row : settings_table()) {
    if (row.group != group) {
      group = row.group;
      out += "\n## " + std::string(group) +
             "\n\n| variable | default | accepted | meaning |\n|---|---|---|---|\n";
    }
    out += "| " + code(row.name) + " | " + default_in_words(row) + " | " +
           accepted_forms(row, wording::brief) + " | " + std::string(row.sentence) + " |\n";
  }
  return out;
}

std::string settings_example() {
  std::string out(example_introduction);
  std::string_view group;
  for (const auto& row : settings_table()) {
    if (row.group != group) {
      group = row.group;
      out += "\n### " + std::string(group) + "\n";
    }
    out += "\n# " + std::string(row.sentence) + "\n#" + std::string(row.name) + "=" +
           std::string(row.default_value) + "\n";
  }
  return out;
}

}  // namespace outboxd::service
