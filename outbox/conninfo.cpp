#include "outbox/conninfo.hpp"

#include <libpq-fe.h>

#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace outboxd::outbox {
namespace {

using options_ptr = std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)>;

struct setting {
  std::string_view keyword;
  std::string_view value;
};

// connect_timeout counts for each address. The keepalives bound a silence while we wait for an
// answer (about 20 s), tcp_user_timeout bounds bytes of ours that nobody acknowledges; both are
// needed.
constexpr std::array<setting, 6> if_not_given{{
    {"connect_timeout", "5"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "3"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "10000"},
    {"target_session_attrs", "read-write"},
}};

options_ptr parse(const std::string& url) {
  char* message = nullptr;
  options_ptr parsed(PQconninfoParse(url.c_str(), &message), &PQconninfoFree);
  // libpq's message may quote the string, password included.
  if (message != nullptr) PQfreemem(message);
  if (!parsed) {
    throw std::invalid_argument(
        "the database URL is neither a valid postgresql:// URI nor a key=value string");
  }
  return parsed;
}

// Whether an environment variable (or a service named by one) changes this keyword's default. One
// that only repeats it cannot be told apart; for target_session_attrs that is "any", which ends on
// servers that cannot be written to.
bool given_by_environment(const PQconninfoOption& option) {
  if (option.val == nullptr) return false;
  return option.compiled == nullptr || std::string_view(option.val) != option.compiled;
}

std::string quoted(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out += '\'';
}

}  // namespace

std::string complete_conninfo(const std::string& url, const std::string& application_name) {
  std::map<std::string, std::string, std::less<>> chosen;
  const auto parsed = parse(url);
  for (const auto* o = parsed.get(); o->keyword != nullptr; ++o) {
    if (o->val != nullptr) chosen[o->keyword] = o->val;
  }
  const options_ptr defaults(PQconndefaults(), &PQconninfoFree);
  if (!defaults) throw std::bad_alloc();
  for (const auto* o = defaults.get(); o->keyword != nullptr; ++o) {
    if (given_by_environment(*o)) continue;
    for (const auto& [keyword, value] : if_not_given) {
      if (keyword == o->keyword) chosen.try_emplace(o->keyword, value);
    }
  }
  chosen.try_emplace("fallback_application_name", application_name);
  chosen["client_encoding"] = "UTF8";

  std::string out;
  for (const auto& [keyword, value] : chosen) {
    if (!out.empty()) out += ' ';
    out += keyword + '=' + quoted(value);
  }
  return out;
}

}  // namespace outboxd::outbox
