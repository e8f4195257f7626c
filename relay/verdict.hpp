// What became of one publish. Doubt stays visible: `unknown` is never folded into a failure of the
// message.
#pragma once

#include <string>
#include <string_view>

#include "outbox/message.hpp"

namespace outboxd::relay {

enum class verdict {
  confirmed,       // acknowledged by the broker and not returned
  returned,        // mandatory and unroutable (basic.return, 312)
  nacked,          // basic.nack: at least one queue refused it
  no_exchange,     // 404: the exchange does not exist
  forbidden,       // 403: the user may not write there
  refused,         // the broker closed a channel or connection over this very row
  too_large,       // over OUTBOX_MAX_MESSAGE_SIZE, found by us, never sent
  invalid,         // could not be encoded, found by us, never sent
  delay_too_long,  // scheduled further away than OUTBOX_MAX_DELAY, never sent
  unknown,         // the broker may or may not have it: it will be sent again
};

enum class doubt { none, timeout, connection_lost, channel_closed };

constexpr std::string_view to_string(verdict v) {
  switch (v) {
    case verdict::confirmed:
      return "confirmed";
    case verdict::returned:
      return "returned";
    case verdict::nacked:
      return "nacked";
    case verdict::no_exchange:
      return "no_exchange";
    case verdict::forbidden:
      return "forbidden";
    case verdict::refused:
      return "refused";
    case verdict::too_large:
      return "too_large";
    case verdict::invalid:
      return "invalid";
    case verdict::delay_too_long:
      return "delay_too_long";
    case verdict::unknown:
      return "unknown";
  }
  return "?";
}

constexpr std::string_view to_string(doubt d) {
  switch (d) {
    case doubt::none:
      return "none";
    case doubt::timeout:
      return "timeout";
    case doubt::connection_lost:
      return "connection_lost";
    case doubt::channel_closed:
      return "channel_closed";
  }
  return "?";
}

struct outcome {
  outbox::row_ref ref;
  verdict what = verdict::unknown;
  doubt why = doubt::none;  // only with unknown
  int code = 0;             // the broker's reply code, where there is one, also with unknown
  std::string text;         // the broker's text or our reason, for last_error; never a payload
};

}  // namespace outboxd::relay
