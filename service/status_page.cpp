#include "service/status_page.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "service/held.hpp"
#include "service/readiness.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

constexpr std::string_view style = R"(
body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1d2433;background:#fff}
h1{font-size:1.4rem}h2{font-size:1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #dde1e8;vertical-align:top}
th{font-weight:500;width:14rem}td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.ok{color:#1a7f37}.no{color:#b3261e;font-weight:600}
@media(prefers-color-scheme:dark){body{color:#e6e9ef;background:#14171d}th,td{border-color:#333a46}.ok{color:#57c878}.no{color:#ff8f87}a{color:#8ab4f8}}
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

void append_row(std::string& out, std::string_view name, std::string_view value) {
  out.append("<tr><th scope=\"row\">").append(escaped(name)).append("</th><td>");
  out.append(escaped(value)).append("</td></tr>\n");
}

std::string rounded_seconds(std::chrono::microseconds d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
}

void append_backlog(std::string& out, const relay::status& now) {
  out += "<h2>Backlog</h2>\n<table>\n";
  if (now.backlog) {
    append_row(out, "pending", std::to_string(now.backlog->pending));
    append_row(out, "deferred", std::to_string(now.backlog->deferred));
    append_row(out, "dead", std::to_string(now.backlog->dead));
  } else {
    append_row(out, "rows", "measured by the leader");
  }
  if (now.oldest_pending_age)
    append_row(out, "oldest row that should be out", rounded_seconds(*now.oldest_pending_age));
  append_row(out, "rows in memory", std::to_string(now.rows_in_memory));
  append_row(out, "unconfirmed", std::to_string(now.unconfirmed));
  append_row(out, "held keys", std::to_string(now.held_keys));
  out += "</table>\n";
}

void append_holds(std::string& out, const relay::status& now) {
  if (now.holds.empty()) return;
  out += "<h2>Held destinations</h2>\n<table>\n";
  const auto named = std::min(now.holds.size(), holds_named);
  for (std::size_t i = 0; i < named; ++i)
    append_row(out, destination_in_words(now.holds[i]), hold_in_words(now.holds[i]));
  if (named < now.holds.size())
    append_row(out, "", "and " + std::to_string(now.holds.size() - named) + " more");
  out += "</table>\n";
}

void append_checks(std::string& out, const process_view& now) {
  out += "<h2>Checks</h2>\n<table>\n";
  for (const auto& check : readiness(now)) {
    out.append("<tr><th scope=\"row\">").append(check.name).append("</th><td><span class=\"");
    out.append(check.ok ? "ok\">ok" : "no\">not ok").append("</span> ");
    out.append(escaped(check.detail)).append("</td></tr>\n");
  }
  out += "</table>\n";
}

}  // namespace

std::string status_page(const process_view& now) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" "
      "content=\"5\">";
  out.append("<title>outboxd ")
      .append(escaped(now.instance))
      .append("</title><style>")
      .append(style);
  out.append("</style></head><body>\n<h1>outboxd</h1>\n<table>\n");
  append_row(out, "instance", now.instance);
  append_row(out, "version", std::string(version()).append(" (").append(revision()).append(")"));
  append_row(out, "up for", rounded_seconds(now.uptime));
  append_row(out, "state", now.relay.draining ? "draining" : to_string(now.relay.lead));
  out += "</table>\n";
  append_checks(out, now);
  append_backlog(out, now.relay);
  append_holds(out, now.relay);
  out +=
      "<p><a href=\"/metrics\">metrics</a> · <a href=\"/readyz?verbose\">readyz</a> · "
      "<a href=\"/livez\">livez</a></p>\n</body></html>\n";
  return out;
}

std::string status_page_policy() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(style.data(), style.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
  std::array<unsigned char, 64> base64{};
  const int size = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(length));
  return "default-src 'none'; style-src 'sha256-" +
         std::string(base64.begin(), base64.begin() + size) +
         "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

}  // namespace outboxd::service
