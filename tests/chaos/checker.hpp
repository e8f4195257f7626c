// Did the promises hold? Pure: the facts of a run go in, what was broken comes out, with examples.
#pragma once

#include "tests/chaos/facts.hpp"

#include <array>
#include <string_view>

namespace outboxd::chaos {

enum class promise {
  delivered,          // committed: has arrived in every queue it is meant for
  no_phantom,         // rolled back, or never written: has arrived nowhere
  sent_is_arrived,    // marked sent: has arrived
  in_order,           // first deliveries of a key follow the ids, queue by queue
  few_duplicates,     // no more than the incidents can explain
  not_stuck,          // nothing waits that could go
  dead_for_a_reason,  // dead is what the broker refuses or nobody can encode, and nothing else
  unaltered,          // body, id and key arrive as they were written, where they belong
  one_body_per_id,    // a message_id stands for one body
  not_too_early,      // a scheduled row arrives when it is due, not before
  kept,               // a committed row does not vanish from the table
  survives            // no sidecar ends by itself
};
constexpr std::size_t promises = 12;
std::string_view to_string(promise p);

struct breach {
  std::size_t count = 0;
  std::vector<std::string> examples = {};  // a few
};

struct verdict {
  std::array<breach, promises> breaches = {};

  std::size_t committed = 0, rolled_back = 0, forgotten = 0, poisoned = 0;
  std::size_t delivered = 0;  // first deliveries, of each queue
  std::size_t redelivered = 0;
  std::size_t duplicates = 0, duplicates_allowed = 0;
  // By the incident that went on, or had ended last, when the duplicate came; "none" before any.
  std::map<std::string, std::size_t> duplicates_after = {};

  const breach& of(promise p) const { return breaches[static_cast<std::size_t>(p)]; }
  bool holds() const;
};

verdict judge(const facts& found);

}  // namespace outboxd::chaos
