#include "outbox/conninfo.hpp"

#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "base/this_host.hpp"

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

std::string quoted_value(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out += '\'';
}

using keywords = std::map<std::string, std::string, std::less<>>;

options_ptr defaults() {
  options_ptr found(PQconndefaults(), &PQconninfoFree);
  if (!found) throw std::bad_alloc();
  return found;
}

// What libpq would take from its environment, where that says something.
keywords given_by_environment() {
  keywords given;
  const auto all = defaults();
  for (const auto* o = all.get(); o->keyword != nullptr; ++o)
    if (given_by_environment(*o)) given[o->keyword] = o->val;
  return given;
}

keywords given_by(const std::string& url) {
  keywords given;
  const auto parsed = parse(url);
  for (const auto* o = parsed.get(); o->keyword != nullptr; ++o)
    if (o->val != nullptr) given[o->keyword] = o->val;
  return given;
}

// A socket of the file system (or, with '@', beside it), or the loopback.
bool stays_here(std::string_view hosts) {
  while (!hosts.empty()) {
    const auto end = std::min(hosts.find(','), hosts.size());
    const auto host = hosts.substr(0, end);
    const bool is_socket = host.empty() || host.front() == '/' || host.front() == '@';
    if (!is_socket && !base::is_this_host(host)) return false;
    hosts.remove_prefix(std::min(end + 1, hosts.size()));
  }
  return true;
}

// What libpq would connect with: the url's word before the environment's.
std::string_view effective(const keywords& url, const keywords& environment, const char* keyword) {
  for (const auto* given : {&url, &environment})
    if (const auto found = given->find(keyword); found != given->end()) return found->second;
  return {};
}

// The file of a service that the url names is read by libpq only: what is in it we do not know.
bool is_remote(const keywords& url, const keywords& environment) {
  return !url.contains("service") && !(stays_here(effective(url, environment, "host")) &&
                                       stays_here(effective(url, environment, "hostaddr")));
}

// The system's authorities. From 16 on libpq finds them itself; before, it knows only a file in the
// home of the user, which a service hardly has.
std::string system_authorities() {
  if (PQlibVersion() >= 160000) return "system";
  for (const char* file :
       {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}) {
    if (::access(file, R_OK) == 0) return file;
  }
  return {};
}

// libpq's own default, prefer, "makes no sense from a security point of view" (PostgreSQL docs,
// 34.19.3): it verifies nothing, and goes on without TLS where somebody on the way says so.
void verify_other_hosts(keywords& chosen, const keywords& environment) {
  if (is_remote(chosen, environment) && !environment.contains("sslmode"))
    chosen.try_emplace("sslmode", "verify-full");
  const bool verifies = effective(chosen, environment, "sslmode") == "verify-full";
  if (!verifies || environment.contains("sslrootcert")) return;
  if (const auto file = system_authorities(); !file.empty())
    chosen.try_emplace("sslrootcert", file);
}

}  // namespace

std::string complete_conninfo(const std::string& url, const std::string& application_name) {
  keywords chosen = given_by(url);
  const keywords environment = given_by_environment();
  for (const auto& [keyword, value] : if_not_given)
    if (!environment.contains(keyword)) chosen.try_emplace(std::string(keyword), value);
  verify_other_hosts(chosen, environment);
  chosen.try_emplace("fallback_application_name", application_name);
  chosen["client_encoding"] = "UTF8";

  std::string out;
  for (const auto& [keyword, value] : chosen) {
    if (!out.empty()) out += ' ';
    out += keyword + '=' + quoted_value(value);
  }
  return out;
}

std::string unverified_sslmode(const std::string& url) {
  keywords chosen = given_by(url);
  const keywords environment = given_by_environment();
  verify_other_hosts(chosen, environment);
  const auto mode = effective(chosen, environment, "sslmode");
  if (!is_remote(chosen, environment) || mode.starts_with("verify-")) return {};
  return std::string(mode);
}

}  // namespace outboxd::outbox
