// The destinations that are held and what is paused, in words. Pure.
#pragma once

#include <string>
#include <vector>

#include "relay/relay.hpp"

namespace outboxd::service {

// "key orders of the default exchange", "key a.b of exchange events", "exchange events".
std::string destination_in_words(const relay::hold_status& hold);

// "held for 12 s, 3 probes failed, next attempt in 4 s: returned: 312 NO_ROUTE"
std::string hold_in_words(const relay::hold_status& hold);

// "exchange orders since 12 s by alice, ends in 30 s: the consumer is being mended".
std::string pause_in_words(const relay::pause_status& pause);

// Pages and answers name so many, and count the others.
inline constexpr std::size_t holds_named = 20;

}  // namespace outboxd::service
