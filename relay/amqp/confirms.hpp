// Publisher confirms of one channel: which tag belongs to which row, and what the broker said of
// it. Pure bookkeeping. A settled tag never changes; a cumulative ack can span tags that were
// nacked before; a return comes before its ack and carries no tag, so it is matched by message_id.
// https://www.rabbitmq.com/docs/confirms
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
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
  // already (a protocol error; nothing was appended). Tag 0 with `multiple` means every unconfirmed
  // message, also when there is none (AMQP 0-9-1, basic.ack).
  bool ack(delivery_tag tag, bool multiple, std::vector<outcome>& out);
  bool nack(delivery_tag tag, bool multiple, std::vector<outcome>& out);

  // Remembers that this message was returned; its ack then means `returned`. False: no such
  // unconfirmed message (a protocol error). Rows that share a message_id all count as returned:
  // sending one of them again is a duplicate, taking a returned one for sent would be a loss.
  bool returned(std::string_view message_id, int code, std::string_view text);

  // When the oldest unconfirmed message was published.
  std::optional<time_point> oldest() const;
  std::size_t unconfirmed() const { return unconfirmed_; }
  // Messages that take memory: not many more than the unconfirmed ones.
  std::size_t remembered() const { return slots_.size() + stragglers_.size(); }

  // The channel is gone: everything unconfirmed becomes unknown, lowest tag first. A message that
  // was returned and whose ack was lost is `returned`: the broker did not keep it. The next publish
  // is the first of a new channel.
  void abandon(doubt why, int code, std::string_view text, std::vector<outcome>& out);

 private:
  struct slot {
    outbox::row_ref row;
    time_point published;
    bool settled = false;
    bool returned = false;
  };
  struct return_reason {
    int code;
    std::string text;
  };

  bool settle(delivery_tag tag, bool multiple, verdict what, std::vector<outcome>& out);
  void settle_one(delivery_tag tag, verdict what, std::vector<outcome>& out);
  outcome outcome_of(delivery_tag tag, verdict what);
  void forget_settled();
  slot* open_slot(delivery_tag tag);
  std::vector<delivery_tag> open_tags(delivery_tag last) const;
  delivery_tag end_tag() const { return first_tag_ + slots_.size(); }

  // One that is confirmed much later than those behind it must not keep these in memory.
  std::map<delivery_tag, slot> stragglers_;  // unconfirmed, before all others
  std::deque<slot> slots_;                   // up to the newest published
  delivery_tag first_tag_ = 1;               // of slots_.front()
  std::size_t unconfirmed_ = 0;
  std::unordered_map<delivery_tag, return_reason> returns_;  // of unconfirmed slots
};

}  // namespace outboxd::relay::amqp
