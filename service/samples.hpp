// Samples of an exposition in Prometheus' text format. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace outboxd::service {

// By what stands before the value: outbox_messages_failed_total{reason="returned"}.
using samples = std::map<std::string, double>;
samples parse_metrics(std::string_view text);

}  // namespace outboxd::service
