#include "service/held.hpp"

namespace outboxd::service {
namespace {

std::string in_seconds(std::chrono::milliseconds d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
}

}  // namespace

std::string destination_in_words(const relay::hold_status& hold) {
  const std::string exchange =
      hold.exchange.empty() ? "the default exchange" : "exchange " + hold.exchange;
  if (!hold.routing_key) return exchange;
  return (hold.routing_key->empty() ? "the empty key" : "key " + *hold.routing_key) + " of " +
         exchange;
}

std::string hold_in_words(const relay::hold_status& hold) {
  std::string text = "held for " + in_seconds(hold.since) + ", ";
  text += std::to_string(hold.probes) + (hold.probes == 1 ? " probe failed, " : " probes failed, ");
  text += hold.next_probe_in ? "next attempt in " + in_seconds(*hold.next_probe_in)
                             : "an attempt is under way";
  return text + ": " + hold.reason;
}

std::string pause_in_words(const relay::pause_status& pause) {
  std::string text = name_of(pause.scope) + " since " + in_seconds(pause.since) + " by " + pause.by;
  if (pause.ends_in) text += ", ends in " + in_seconds(*pause.ends_in);
  if (!pause.reason.empty()) text += ": " + pause.reason;
  return text;
}

}  // namespace outboxd::service
