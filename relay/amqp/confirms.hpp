// Publisher confirms of one channel: which tag belongs to which row, and what the broker said of it.
// Pure bookkeeping. A settled tag never changes; a cumulative ack can span tags that were nacked before;
// a return comes before its ack and carries no tag, so it is matched by message_id.
// https://www.rabbitmq.com/docs/confirms
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "outbox/message.hpp"
#include "relay/amqp/codec.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay::amqp {

class confirms {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  // The next publish gets the next tag, starting at 1.
  delivery_tag publish(const outbox::row_ref& row, time_point now);

  // Appends the outcomes that follow. False: the broker named a tag it never got or that is settled
  // already (a protocol error; nothing was appended).
  bool ack(delivery_tag tag, bool multiple, std::vector<outcome>& out);
  bool nack(delivery_tag tag, bool multiple, std::vector<outcome>& out);

  // Remembers that this message was returned; its ack then means `returned`. False: no such unconfirmed
  // message (a protocol error).
  bool returned(std::string_view message_id, int code, std::string_view text);

  // When the oldest unconfirmed message was published.
  std::optional<time_point> oldest() const;
  std::size_t unconfirmed() const;

  // The channel is gone: everything unconfirmed becomes unknown, lowest tag first. A message that was
  // returned and whose ack was lost is `returned`: the broker did not keep it.
  void abandon(doubt why, int code, std::string_view text, std::vector<outcome>& out);
};

}  // namespace outboxd::relay::amqp
