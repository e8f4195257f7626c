#include "service/status_command.hpp"

#include <unistd.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <cmath>
#include <ostream>
#include <sstream>
#include <thread>

#include "service/check.hpp"
#include "service/health_probe.hpp"

namespace outboxd::service {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr auto limit = 2s;     // of each question to the process
constexpr auto interval = 1s;  // of --watch

// What changes all the time, and is worth a rate.
constexpr std::array counted{
    std::pair{"confirmed", "outbox_messages_confirmed_total"},
    std::pair{"published", "outbox_messages_published_total"},
};
// By reason, where there are any.
constexpr std::array reasons{
    std::pair{"failed", "outbox_messages_failed_total{reason=\""},
    std::pair{"unknown", "outbox_messages_unknown_total{reason=\""},
    std::pair{"died", "outbox_messages_dead_total{reason=\""},
};
constexpr std::array levels{
    std::pair{"pending", "outbox_pending_messages"},
    std::pair{"deferred", "outbox_deferred_messages"},
    std::pair{"dead", "outbox_dead_messages"},
    std::pair{"unconfirmed", "outbox_unconfirmed_messages"},
    std::pair{"held keys", "outbox_held_keys"},
};
constexpr const char* oldest = "outbox_oldest_pending_age_seconds";

double value(const samples& all, const std::string& name) {
  const auto found = all.find(name);
  return found == all.end() ? 0 : found->second;
}

std::string number(double n) {
  std::ostringstream out;
  if (n == std::floor(n) && std::abs(n) < 1e15) {
    out << static_cast<long long>(n);
  } else {
    out.precision(n < 10 ? 2 : 3);
    out << n;
  }
  return out.str();
}

double rate(const samples& now, const earlier_look& before, const char* name) {
  // Negative: another process has taken its place.
  return std::max(0.0, value(now, name) - value(before.metrics, name)) / before.ago.count();
}

// "returned 3, nacked 1"
std::string by_reason(const samples& all, const std::string& prefix) {
  std::string text;
  for (auto it = all.lower_bound(prefix); it != all.end() && it->first.starts_with(prefix); ++it) {
    if (it->second == 0) continue;
    const std::string reason =
        it->first.substr(prefix.size(), it->first.size() - prefix.size() - 2);
    text += (text.empty() ? "" : ", ") + reason + " " + number(it->second);
  }
  return text;
}

std::string as_table(const status_look& now, const std::optional<earlier_look>& before) {
  std::ostringstream out;
  const auto line = [&](std::string name, const std::string& text) {
    name.resize(std::max<std::size_t>(name.size() + 2, 14), ' ');
    out << name << text << "\n";
  };
  out << now.checks;
  for (const auto& [name, metric] : levels) line(name, number(value(now.metrics, metric)));
  if (now.metrics.contains(oldest)) line("oldest", number(value(now.metrics, oldest)) + " s");
  for (const auto& [name, metric] : counted) {
    std::string text = number(value(now.metrics, metric));
    if (before) text += ", " + number(std::round(rate(now.metrics, *before, metric))) + "/s";
    line(name, text);
  }
  for (const auto& [name, prefix] : reasons) {
    const std::string text = by_reason(now.metrics, prefix);
    if (!text.empty()) line(name, text);
  }
  return out.str();
}

std::string as_json(const status_look& now, const std::optional<earlier_look>& before) {
  json::array checks;
  std::istringstream lines(now.checks);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[")) checks.emplace_back(line);
  }
  json::object metrics, rates;
  for (const auto& [name, sample] : now.metrics) {
    if (name.find("_bucket") == std::string::npos) metrics[name] = sample;
  }
  if (before) {
    for (const auto& [name, metric] : counted)
      rates[std::string(name) + "_per_second"] = rate(now.metrics, *before, metric);
  }
  json::object all{{"ready", now.ready}, {"checks", checks}, {"metrics", metrics}};
  if (before) all["rates"] = rates;
  return json::serialize(all) + "\n";
}

base::result<status_look> look(const listen_address& where) {
  status_look now;
  const auto checks = probe(where, "/readyz?verbose", limit);
  if (!checks && checks.error().kind != base::failure_kind::not_ready) return checks.error();
  now.ready = checks.has_value();
  now.checks = now.ready ? *checks : checks.error().text;
  const auto metrics = probe(where, "/metrics", limit);
  if (!metrics) return metrics.error();
  now.metrics = parse_metrics(*metrics);
  return now;
}

}  // namespace

std::string render(const status_look& now, const std::optional<earlier_look>& before,
                   output_format format) {
  return format == output_format::json ? as_json(now, before) : as_table(now, before);
}

exit_code status(const settings& s, const status_command& c, const streams& to) {
  const bool on_terminal =
      c.watch && to.format == output_format::table && ::isatty(STDOUT_FILENO) == 1;
  std::optional<earlier_look> before;
  auto at = std::chrono::steady_clock::now();
  for (std::size_t looks = 1;; ++looks) {
    const auto now = look(s.http_listen);
    if (!now) {
      to.err << "outboxd: no outboxd answers on OUTBOX_HTTP_LISTEN: " << now.error().text << "\n";
      return to_exit_code(now.error().kind);
    }
    if (on_terminal) to.out << "\x1b[H\x1b[2J";
    to.out << render(*now, before, to.format);
    if (!c.watch || looks == c.count) return now->ready ? exit_code::done : exit_code::unhealthy;
    if (!on_terminal && to.format == output_format::table) to.out << "\n";
    to.out.flush();
    before = earlier_look{now->metrics, interval};
    at += interval;
    std::this_thread::sleep_until(at);
  }
}

}  // namespace outboxd::service
