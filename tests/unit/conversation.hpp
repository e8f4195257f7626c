// Conversations with the session, written as a script: what happens, and what it then wants done,
// in one line of words.
#pragma once

#include <string>
#include <utility>

#include "relay/amqp/session.hpp"

namespace outboxd::relay::amqp {

inline std::string print(const send_protocol_header&) {
  return "send header";
}
inline std::string print(const send_start_ok& a) {
  return "send start-ok " + a.mechanism;
}
inline std::string print(const send_tune_ok& a) {
  return "send tune-ok " + std::to_string(a.channel_max) + " " + std::to_string(a.frame_max) + " " +
         std::to_string(a.heartbeat);
}
inline std::string print(const send_connection_open& a) {
  return "send open " + a.vhost;
}
inline std::string print(const send_connection_close& a) {
  return "send close " + std::to_string(a.code);
}
inline std::string print(const send_connection_close_ok&) {
  return "send close-ok";
}
inline std::string print(const send_channel_open& a) {
  return "send open " + std::to_string(a.channel);
}
inline std::string print(const send_channel_close& a) {
  return "send close " + std::to_string(a.channel);
}
inline std::string print(const send_channel_close_ok& a) {
  return "send close-ok " + std::to_string(a.channel);
}
inline std::string print(const send_channel_flow_ok& a) {
  return "send flow-ok " + std::to_string(a.channel) + (a.active ? " on" : " off");
}
inline std::string print(const send_confirm_select& a) {
  return "send select " + std::to_string(a.channel);
}
inline std::string print(const send_heartbeat&) {
  return "send heartbeat";
}
inline std::string print(const confirm_channel_opened&) {
  return "confirm channel opened";
}
inline std::string print(const confirm_channel_lost& a) {
  return "confirm channel lost " + std::to_string(a.code) + " " + a.text;
}
inline std::string print(const control_channel_opened&) {
  return "control channel opened";
}
inline std::string print(const control_channel_lost& a) {
  return "control channel lost " + std::to_string(a.code) + " " + a.text;
}
inline std::string print(const publishing_blocked& a) {
  return "blocked " + a.reason;
}
inline std::string print(const publishing_unblocked&) {
  return "unblocked";
}
inline std::string print(const hang_up& a) {
  return (a.flush ? "close: " : "reset: ") + std::to_string(a.code) + " " + a.text;
}
inline std::string print(const basic_ack& a) {
  return "ack " + std::to_string(a.tag) + (a.multiple ? " and lower" : "");
}
inline std::string print(const basic_nack& a) {
  return "nack " + std::to_string(a.tag) + (a.multiple ? " and lower" : "");
}
inline std::string print(const basic_return& a) {
  return "return " + a.message_id;
}
inline std::string print(const exchange_declare_ok&) {
  return "declared";
}

// All actions of one event in one line.
inline std::string print(const actions& all) {
  std::string line;
  for (const action& a : all) {
    line += line.empty() ? "" : ", ";
    line += std::visit([](const auto& what) { return print(what); }, a);
  }
  return line;
}

inline endpoint rabbit_node() {
  endpoint node;
  node.vhost = "cards";
  return node;
}

inline connection_start rabbit_start() {
  connection_start start;
  start.mechanisms = {"PLAIN", "AMQPLAIN"};
  start.product = "RabbitMQ";
  start.version = "3.10.8";
  start.supports_confirms = true;
  return start;
}

class conversation {
 public:
  explicit conversation(endpoint node = rabbit_node()) : s_(std::move(node)) {}

  std::string received(const incoming& what) {
    return after([&](actions& out) { s_.received(what, out); });
  }
  std::string connected() {
    return after([&](actions& out) { s_.connected(out); });
  }
  std::string disconnected() {
    return after([&](actions& out) { s_.disconnected("connection reset by peer", out); });
  }
  std::string timed_out() {
    return after([&](actions& out) { s_.timed_out(out); });
  }
  std::string tick(bool output_pending = false) {
    return after([&](actions& out) { s_.tick(output_pending, out); });
  }
  std::string close() {
    return after([&](actions& out) { s_.close(out); });
  }
  std::string renew() {
    return after([&](actions& out) { s_.renew(out); });
  }
  std::string reopen() {
    return after([&](actions& out) { s_.reopen(out); });
  }

  // Up to and including the answer to start.
  void log_in() {
    connected();
    received(rabbit_start());
  }
  void open() {
    log_in();
    received(connection_tune{2047, 131'072, 60});
    received(connection_open_ok{});
    received(channel_open_ok{confirm_channel});
    received(channel_open_ok{control_channel});
    received(confirm_select_ok{confirm_channel});
  }

  session& it() { return s_; }

 private:
  template <typename Event>
  std::string after(Event event) {
    actions out;
    event(out);
    return print(out);
  }

  session s_;
};

}  // namespace outboxd::relay::amqp
