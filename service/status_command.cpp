#include "service/status_command.hpp"

#include <unistd.h>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>

#include <array>
#include <cmath>
#include <ostream>
#include <sstream>
#include <thread>

#include "base/text.hpp"
#include "service/check.hpp"
#include "service/health_probe.hpp"
#include "service/log.hpp"
#include "service/readiness.hpp"

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
constexpr const char* dead = "outbox_dead_messages";
constexpr std::array levels{
    std::pair{"pending", "outbox_pending_messages"},
    std::pair{"deferred", "outbox_deferred_messages"},
    std::pair{"dead", dead},
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
  for (const auto& [name, metric] : levels) {
    std::string text = now.metrics.contains(metric) ? number(value(now.metrics, metric)) : "–";
    if (metric == dead && !now.dead_reasons.empty()) text += ": " + now.dead_reasons;
    line(name, text);
  }
  if (now.metrics.contains(oldest)) line("oldest", number(value(now.metrics, oldest)) + " s");
  out << "since the start, " << now.said.at("uptime_seconds") << " s ago:\n";
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
  json::object all = now.said;
  if (before) {
    json::object rates;
    for (const auto& [name, metric] : counted)
      rates[std::string(name) + "_per_second"] = rate(now.metrics, *before, metric);
    all["rates"] = std::move(rates);
  }
  return json::serialize(all) + "\n";
}

std::string checks_in(const json::object& said) {
  std::vector<readiness_check> checks;
  for (const auto& check : said.at("checks").as_array()) {
    const json::string& name = check.at("name").as_string();
    checks.push_back({std::string_view(name.data(), name.size()), check.at("ok").as_bool(),
                      json::value_to<std::string>(check.at("detail"))});
  }
  return in_lines(checks);
}

// What the rows that are dead now died of, whoever led then.
std::string dead_reasons_in(const json::object& said) {
  const auto& rows = said.at("dead");
  if (rows.is_null()) return {};
  std::string text;
  for (const auto& [reason, count] : rows.at("by_reason").as_object()) {
    text += (text.empty() ? "" : ", ") + base::one_line(reason) + " " +
            std::to_string(count.to_number<std::int64_t>());
  }
  const auto asked = rows.at("newest_asked").to_number<std::int64_t>();
  if (rows.at("rows").to_number<std::int64_t>() <= asked) return text;
  return "of the newest " + std::to_string(asked) + " " + text;
}

base::result<status_look> look(const listen_address& where) {
  const auto said = probe(where, "/status.json", limit);
  if (!said) return said.error();
  return read_status(*said);
}

// One look after the other, and what is shown of each.
class watcher {
 public:
  watcher(const settings& s, const status_command& c, const streams& to)
      : where_(s.http_listen),
        watch_(c.watch),
        clears_(c.watch && to.format == output_format::table && ::isatty(STDOUT_FILENO) == 1),
        to_(to) {}

  exit_code look_once() {
    const auto now = look(where_);
    if (!now) return nobody_answers(now.error());
    const auto before = last_.replace(now->metrics, clock::now());
    if (clears_) to_.out << "\x1b[H\x1b[2J";
    to_.out << render(*now, before, to_.format);
    if (watch_ && !clears_ && to_.format == output_format::table) to_.out << "\n";
    to_.out.flush();
    return now->ready ? exit_code::done : exit_code::unhealthy;
  }

  // One that took long is not made up for.
  void wait() {
    next_ = std::max(next_ + interval, clock::now());
    std::this_thread::sleep_until(next_);
  }

 private:
  using clock = std::chrono::steady_clock;

  // It may come back, and somebody watches.
  exit_code nobody_answers(const base::failure& why) {
    last_.forget();
    const std::string when =
        watch_ ? timestamp(std::chrono::system_clock::now()) + " " : std::string();
    complain(when + "no outboxd answers on OUTBOX_HTTP_LISTEN: " + why.text, to_);
    to_.out.flush();
    return to_exit_code(why.kind);
  }

  const listen_address where_;
  const bool watch_, clears_;
  const streams& to_;
  last_look last_;
  clock::time_point next_ = clock::now();
};

}  // namespace

base::result<status_look> read_status(const std::string& said) try {
  status_look now;
  now.said = json::parse(said).as_object();
  now.ready = now.said.at("ready").as_bool();
  now.checks = checks_in(now.said);
  now.dead_reasons = dead_reasons_in(now.said);
  now.metrics = json::value_to<samples>(now.said.at("metrics"));
  return now;
} catch (const std::exception& e) {
  return base::failure{
      base::failure_kind::unavailable,
      std::string("what answers there is no outboxd of this version: ") + e.what()};
}

std::string render(const status_look& now, const std::optional<earlier_look>& before,
                   output_format format) {
  return format == output_format::json ? as_json(now, before) : as_table(now, before);
}

std::optional<earlier_look> last_look::replace(const samples& now, time_point at) {
  const auto before = std::exchange(last_, std::pair(now, at));
  if (!before || at <= before->second) return std::nullopt;
  return earlier_look{before->first, at - before->second};
}

exit_code status(const settings& s, const status_command& c, const streams& to) {
  watcher shown(s, c, to);
  for (std::size_t looks = 1;; ++looks) {
    const auto code = shown.look_once();
    if (!c.watch || looks == c.count) return code;
    shown.wait();
  }
}

}  // namespace outboxd::service
