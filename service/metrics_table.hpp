// The one table of metrics: names, types, labels and help texts of everything /metrics says. The
// registry and docs/reference/metrics.md are both made from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd::service {

enum class metric_kind { counter, gauge, histogram };

struct metric_row {
  std::string_view name;
  metric_kind kind;
  std::string_view help;
  std::string_view label{};         // at most one, but for build_info
  std::string_view known_values{};  // "a|b|c": there at zero from the start
};

std::span<const metric_row> metrics_table();
const metric_row& metric(std::string_view name);  // aborts when there is none: a bug

std::vector<std::string> split_values(std::string_view known_values);

// docs/reference/metrics.md
std::string metrics_reference();

std::string_view to_string(metric_kind kind);

}  // namespace outboxd::service
