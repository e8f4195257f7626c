#include "service/samples.hpp"

#include <algorithm>
#include <cstdlib>

namespace outboxd::service {

samples parse_metrics(std::string_view text) {
  samples all;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string_view::npos) continue;
    all[std::string(line.substr(0, space))] =
        std::strtod(std::string(line.substr(space + 1)).c_str(), nullptr);
  }
  return all;
}

}  // namespace outboxd::service
