#include "outbox/sql_statements.hpp"

#include <algorithm>
#include <cctype>

namespace outboxd::outbox {

namespace {

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_comment(std::string_view sql) {
  return sql.starts_with("--") || sql.starts_with("/*");
}

// "$$" or "$word$" where the text begins with one; $1 and the dollar inside a name are none.
std::string_view dollar_quote(std::string_view sql) {
  if (!sql.starts_with('$')) return {};
  const auto end = std::ranges::find_if_not(sql.substr(1), is_word);
  const auto length = static_cast<std::size_t>(end - sql.begin());
  if (end == sql.end() || *end != '$') return {};
  if (std::isdigit(static_cast<unsigned char>(sql[1])) != 0) return {};
  return sql.substr(0, length + 1);
}

// Where the first token ends, whatever is in it.
std::size_t token_size(std::string_view sql) {
  const auto up_to = [&](std::size_t from, std::string_view end) {
    const auto found = sql.find(end, from);
    return found == std::string_view::npos ? sql.size() : found + end.size();
  };
  if (sql.starts_with("--")) return up_to(2, "\n");
  if (sql.starts_with("/*")) return up_to(2, "*/");
  // A doubled quote ends one string and begins the next, which is as good.
  if (sql.front() == '\'' || sql.front() == '"') return up_to(1, sql.substr(0, 1));
  if (const auto quote = dollar_quote(sql); !quote.empty()) return up_to(quote.size(), quote);
  const auto word = std::ranges::find_if_not(sql, [](char c) { return is_word(c) || c == '$'; });
  return std::max<std::size_t>(static_cast<std::size_t>(word - sql.begin()), 1);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

std::vector<std::string_view> split_statements(std::string_view sql) {
  std::vector<std::string_view> statements;
  std::size_t begin = 0, at = 0;
  bool says_something = false;
  const auto cut = [&] {
    if (says_something) statements.push_back(trimmed(sql.substr(begin, at - begin)));
    says_something = false;
  };
  while (at < sql.size()) {
    const auto rest = sql.substr(at);
    if (rest.front() == ';') {
      cut();
      begin = ++at;
      continue;
    }
    says_something = says_something || (!is_space(rest.front()) && !is_comment(rest));
    at += token_size(rest);
  }
  cut();
  return statements;
}

}  // namespace outboxd::outbox
