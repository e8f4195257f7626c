#include "outbox/schema.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "migrations/embedded.hpp"

namespace outboxd::outbox {

namespace {

constexpr std::size_t max_identifier = 63;  // bytes; PostgreSQL cuts longer ones
constexpr std::string_view channel_prefix = "outboxd_";

bool is_harmless(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte != 0x7f && c != '"' && c != '\'' && c != '$' && c != '\\';
}

base::result<void> validate_name(std::string_view what, std::string_view name,
                                 std::size_t max_bytes) {
  const auto refuse = [&](std::string why) {
    return base::failure{base::failure_kind::bad_input, std::string(what) + ": " + std::move(why)};
  };
  if (name.empty()) return refuse("must not be empty");
  if (name.size() > max_bytes) {
    return refuse("at most " + std::to_string(max_bytes) + " bytes, this has " +
                  std::to_string(name.size()));
  }
  if (!std::ranges::all_of(name, is_harmless)) {
    return refuse("quotes, dollar signs, backslashes and control characters are not allowed");
  }
  return {};
}

}  // namespace

base::result<void> validate_schema_name(std::string_view schema) {
  return validate_name("schema name", schema, max_identifier - channel_prefix.size());
}

base::result<void> validate(const schema_names& names) {
  if (auto r = validate_schema_name(names.schema); !r) return r;
  for (const auto* role :
       {&names.roles.writer, &names.roles.relay, &names.roles.operator_, &names.roles.reader}) {
    if (auto r = validate_name("role name", *role, max_identifier); !r) return r;
  }
  return {};
}

std::string quoted(std::string_view validated_name) {
  return '"' + std::string(validated_name) + '"';
}

std::string fill_in(std::string_view sql, const schema_names& names) {
  const std::array<std::pair<std::string_view, std::string>, 5> words = {{
      {R"("outbox")", outbox::quoted(names.schema)},
      {R"("outbox_writer")", outbox::quoted(names.roles.writer)},
      {R"("outbox_relay")", outbox::quoted(names.roles.relay)},
      {R"("outbox_operator")", outbox::quoted(names.roles.operator_)},
      {R"("outbox_reader")", outbox::quoted(names.roles.reader)},
  }};
  std::string text;
  // In one pass: a name that was filled in is never taken for a word.
  while (!sql.empty()) {
    const auto quote = std::min(sql.find('"'), sql.size());
    text += sql.substr(0, quote);
    sql.remove_prefix(quote);
    const auto word =
        std::ranges::find_if(words, [&](const auto& w) { return sql.starts_with(w.first); });
    if (word != words.end()) {
      text += word->second;
      sql.remove_prefix(word->first.size());
    } else if (!sql.empty()) {
      text += sql.front();
      sql.remove_prefix(1);
    }
  }
  return text;
}

std::string wake_channel(std::string_view schema) {
  return std::string(channel_prefix) + std::string(schema);
}

int newest_version() {
  return migrations::all().back().version;
}

int required_version() {
  return std::max(1, newest_version() - 1);
}

schema_fit judge_version(std::optional<int> installed, int required, int newest) {
  if (installed.value_or(0) == 0) return schema_fit::missing;
  if (*installed < required) return schema_fit::too_old;
  if (*installed < newest) return schema_fit::older;
  return *installed == newest ? schema_fit::exact : schema_fit::newer;
}

}  // namespace outboxd::outbox
