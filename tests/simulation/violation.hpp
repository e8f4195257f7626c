// A promise that was broken. Ends the simulation at once: what follows from it says nothing.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace outboxd::simulation {

// Each stands for a promise of the contract (README.md, "What it promises").
enum class invariant {
  sent_only_when_confirmed,     // and not returned, exactly that (id, message_id)
  outcomes_as_the_broker_said,  // one for each publish
  nothing_lost,
  no_phantom,
  publish_rule,               // every earlier visible row of the key is final
  first_deliveries_in_order,  // of a key
  duplicates_bounded,         // by what was in flight or not yet marked at a fault
  dead_only_when_refused,     // for what the row is, or given up as the settings say
  memory_bounded,
  lanes_respected,   // nothing is written to a lane that is closed or blocked
  drained,           // once the faults have stopped
  others_flow,       // while one destination fails
  held_is_spared,    // a destination that fails is tried seldom
  paused_is_spared,  // what an operator has paused is not published
};

constexpr std::string_view to_string(invariant i) {
  constexpr std::string_view names[] = {"sent_only_when_confirmed",
                                        "outcomes_as_the_broker_said",
                                        "nothing_lost",
                                        "no_phantom",
                                        "publish_rule",
                                        "first_deliveries_in_order",
                                        "duplicates_bounded",
                                        "dead_only_when_refused",
                                        "memory_bounded",
                                        "lanes_respected",
                                        "drained",
                                        "others_flow",
                                        "held_is_spared",
                                        "paused_is_spared"};
  return names[static_cast<std::size_t>(i)];
}

class violation : public std::runtime_error {
 public:
  violation(invariant which, const std::string& how)
      : std::runtime_error("violated: " + std::string(to_string(which)) + ": " + how) {}
};

inline void require(bool kept, invariant which, const std::string& how) {
  if (!kept) throw violation(which, how);
}

}  // namespace outboxd::simulation
