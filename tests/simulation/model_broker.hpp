// A model of RabbitMQ. A connection is a FIFO of what was written, of which the broker processes a
// prefix; its answers are on their way for a while. A connection that the client has left may still
// be read to its end (the client closed it), or not (it was reset).
// https://www.rabbitmq.com/docs/confirms
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "outbox/message.hpp"
#include "tests/simulation/checker.hpp"
#include "tests/simulation/luck.hpp"

namespace outboxd::simulation {

using tag = std::uint64_t;

// What ails an exchange (missing, forbidden) or a destination (the others).
enum class trouble { none, missing, forbidden, unroutable, full, silent };

struct frame {
  enum class kind {
    ack,
    nack,
    returned,
    declared,
    control_closed,
    channel_closed,
    connection_closed,
    blocked,
    unblocked
  };
  kind what;
  tag number = 0;
  bool multiple = false;
  row_ref ref{};
  int code = 0;
  std::string text{};
};

enum class goodbye { closed, reset };

class model_broker {
 public:
  using connection_id = std::uint64_t;
  using destination = std::pair<std::string, std::string>;

  model_broker(luck& luck, checker& checker) : luck_(luck), checker_(checker) {}

  // Whether confirms may be coalesced and come in any order; else one by one, in order.
  bool reorders = true;

  // ---- the client's side ----
  connection_id connect();
  void declare(connection_id c, const std::string& exchange);
  void write(connection_id c, const outbox::message& m);
  std::vector<frame> receive(connection_id c, std::size_t at_most);
  void leave(connection_id c, goodbye how);
  // The channel opens again; tags begin at 1.
  void reopen_channel(connection_id c);

  // ---- what goes wrong ----
  void set_alarm(bool on);
  void set(const std::string& exchange, trouble t) { exchanges_[exchange] = t; }
  void set(const destination& d, trouble t);
  trouble ails(const destination& d) const;
  // The server closes the connection, with or without a word.
  void close(connection_id c, int code);

  void step();

 private:
  // What the broker has decided of a publish and not yet said.
  enum class word { none, ack, nack };
  struct connection {
    std::deque<outbox::message> written;
    std::deque<std::string> questions;
    tag next = 1;
    std::map<tag, word> unconfirmed;
    std::deque<frame> answers;
    bool channel_open = true;
    std::set<destination> known;     // the channel has published there
    std::set<destination> stubborn;  // and is refused there, whatever becomes of the queue
    bool client_left = false;
    bool published = false;  // only then it hears of an alarm
    bool told_blocked = false;
  };
  struct withheld {
    connection_id from;
    tag number;
    outbox::message msg;
  };

  void process(connection_id id, connection& c);
  void answer_question(connection& c);
  void route(connection_id id, connection& c, tag t, const outbox::message& m);
  void confirm(connection& c);
  void confirm_acks(connection& c, const std::set<tag>& chosen);
  void close_channel(connection& c, int code, const std::string& text);
  void decide(connection_id id, tag t, word w);
  trouble of(const std::string& exchange) const;

  luck& luck_;
  checker& checker_;
  std::map<connection_id, connection> connections_;
  connection_id next_ = 1;
  bool alarm_ = false;
  std::map<std::string, trouble> exchanges_;
  std::map<destination, trouble> destinations_;
  std::map<destination, std::vector<withheld>> withheld_;
  std::set<std::pair<connection_id, destination>> deaf_;
};

}  // namespace outboxd::simulation
