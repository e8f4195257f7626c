// Which exchanges exist, as far as this connection knows, and which rows wait to learn it.
// Publishing to a missing exchange would close the channel over every row in flight; a passive
// declare on the control channel, once per exchange and connection, costs only the rows of that
// exchange. A missing exchange is not remembered: the next row asks again. Pure; rows are borrowed
// until they come out.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "outbox/message.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay::amqp {

class topology {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  // What follows from an event.
  struct steps {
    std::vector<std::string> declare;  // passively, on the control channel, in this order
    std::vector<const outbox::message*> publish;  // in this order
    std::vector<outcome> refused;                 // the exchange is missing or forbidden,
    std::string refused_exchange;                 // this one
  };

  // Whether nothing keeps this row: its exchange is known and no earlier row of its key waits.
  bool passes(const outbox::message& row) const;
  // One that passes comes out at once.
  void submit(const outbox::message& row, time_point now, steps& out);

  // A new control channel is open.
  void control_opened(steps& out);
  // exchange.declare-ok; false when nothing was asked.
  bool declared(steps& out);
  // The server closed the control channel: its answer to the oldest question. The others are lost
  // with the channel and are asked again on the next.
  void control_closed(int code, std::string_view text, steps& out);

  // The confirm channel or the connection is gone: nothing waits any more and nothing is known.
  std::vector<outbox::row_ref> abandon();
  // The connection is gone, and the control channel with it.
  void disconnected();

  std::size_t waiting() const { return waiting_.size(); }
  // When the row that waits longest was submitted.
  std::optional<time_point> oldest() const;

 private:
  struct waiting_row {
    const outbox::message* row;
    time_point since;
  };

  bool is_known(const std::string& exchange) const;
  bool is_wanted(const std::string& exchange) const;
  void learn(const std::string& exchange);
  void ask(steps& out);
  void release(steps& out);
  void refuse(const std::string& exchange, int code, std::string_view text, steps& out);
  void forget_key(const outbox::message& row);

  std::unordered_set<std::string> known_;
  std::deque<std::string> asked_;    // sent and not answered, oldest first
  std::deque<std::string> unasked_;  // to be sent
  std::deque<waiting_row> waiting_;
  std::unordered_map<std::string, std::size_t> waiting_keys_;  // key -> rows of it in waiting_
  bool control_open_ = false;
};

}  // namespace outboxd::relay::amqp
