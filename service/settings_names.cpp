#include "service/settings_names.hpp"

#include <algorithm>
#include <numeric>

#include "service/settings_table.hpp"

namespace outboxd::service {
namespace {

constexpr std::string_view prefix = "OUTBOX_";

std::vector<std::string> known_names() {
  std::vector<std::string> names;
  for (const auto& row : settings_table()) {
    names.emplace_back(row.name);
    if (row.is_secret()) names.push_back(std::string(row.name) + "_FILE");
  }
  return names;
}

// Levenshtein's distance, one row at a time.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0u);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

bool is_service_link(std::string_view name) {
  if (!name.starts_with(prefix)) return false;
  // From the underscore on, so that "OUTBOX_PORT" and "OUTBOX_DB_PORT" look alike.
  const auto rest = name.substr(prefix.size() - 1);
  if (rest.ends_with("_SERVICE_HOST") || rest.ends_with("_SERVICE_PORT") || rest.ends_with("_PORT"))
    return true;
  if (rest.find("_SERVICE_PORT_") != std::string_view::npos) return true;
  const auto port = rest.find("_PORT_");
  return port != std::string_view::npos && (rest.find("_TCP", port) != std::string_view::npos ||
                                            rest.find("_UDP", port) != std::string_view::npos ||
                                            rest.find("_SCTP", port) != std::string_view::npos);
}

std::vector<std::string> unknown_names(const environment& env) {
  const auto known = known_names();
  std::vector<std::string> warnings;
  for (auto at = env.lower_bound(prefix); at != env.end() && at->first.starts_with(prefix); ++at) {
    const auto& name = at->first;
    if (std::find(known.begin(), known.end(), name) != known.end() || is_service_link(name))
      continue;
    const auto nearest = std::min_element(
        known.begin(), known.end(),
        [&](const auto& a, const auto& b) { return distance(name, a) < distance(name, b); });
    warnings.push_back(name + " is not a setting; the nearest name is " + *nearest);
  }
  return warnings;
}

}  // namespace outboxd::service
