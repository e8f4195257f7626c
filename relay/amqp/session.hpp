// One AMQP connection as a pure state machine: what arrives and what happens go in, actions come
// out in the order in which they must be carried out. No socket, no clock, no log. It opens two
// channels: one in confirm mode for publishing, one for passive declares, and opens them again when
// the server closes them. Over once it has said hang_up; start a new one for the next connection.
// Specification: AMQP 0-9-1, sections 2.2.4 (connection), 4.2.7 (heartbeat); RabbitMQ's extensions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "relay/amqp/codec.hpp"
#include "relay/amqp/uri.hpp"

namespace outboxd::relay::amqp {

inline constexpr channel_id confirm_channel = 1;
inline constexpr channel_id control_channel = 2;

// ---- actions: write this

struct send_protocol_header {};
struct send_start_ok {
  std::string mechanism, response;
};
struct send_tune_ok {
  std::uint16_t channel_max;
  std::uint32_t frame_max;
  std::uint16_t heartbeat;
};
struct send_connection_open {
  std::string vhost;
};
struct send_connection_close {
  int code;
  std::string text;
};
struct send_connection_close_ok {};
struct send_channel_open {
  channel_id channel;
};
struct send_channel_close {
  channel_id channel;
  int code;
  std::string text;
};
struct send_channel_close_ok {
  channel_id channel;
};
struct send_channel_flow_ok {
  channel_id channel;
  bool active;
};
struct send_confirm_select {
  channel_id channel;
};
struct send_heartbeat {};

// ---- actions: tell the owner

struct confirm_channel_opened {};  // the next publish has tag 1
struct confirm_channel_lost {
  int code;
  std::string text;
};
struct control_channel_opened {};
struct control_channel_lost {
  int code;
  std::string text;
};  // a declare before it was refused
struct publishing_blocked {
  std::string reason;
};
struct publishing_unblocked {};

// The end. flush: write what is buffered within a short limit, then close; otherwise reset at once.
struct hang_up {
  bool flush;
  int code;
  std::string text;
};

// Confirms, returns and answers to a passive declare are passed on as they came.
using action = std::variant<
    send_protocol_header, send_start_ok, send_tune_ok, send_connection_open, send_connection_close,
    send_connection_close_ok, send_channel_open, send_channel_close, send_channel_close_ok,
    send_channel_flow_ok, send_confirm_select, send_heartbeat, confirm_channel_opened,
    confirm_channel_lost, control_channel_opened, control_channel_lost, publishing_blocked,
    publishing_unblocked, hang_up, basic_ack, basic_nack, basic_return, exchange_declare_ok>;
using actions = std::vector<action>;

class session {
 public:
  explicit session(endpoint node);

  // Events. Each appends to `out`; after hang_up none does.
  void connected(actions& out);
  void received(const incoming& what, actions& out);
  // What arrives makes no sense (found by the decoder or by the confirm bookkeeping).
  void broken(const protocol_error& why, actions& out);
  // The socket failed or was closed by the other side.
  void disconnected(std::string_view why, actions& out);
  // The same, and the other side said why: nothing is left to be guessed.
  void refused(std::string_view why, actions& out);
  // The limit of the phase we are in has passed: the handshake, or the wait for
  // connection.close-ok.
  void timed_out(actions& out);
  // Half a heartbeat interval has passed. `output_pending`: some bytes wait for the socket.
  void tick(bool output_pending, actions& out);
  void wrote();
  // Opens the confirm channel again after confirm_channel_lost.
  void reopen(actions& out);
  // Closes the confirm channel, which is open and not blocked, and opens it again.
  void renew(actions& out);
  // Close gracefully. While the server does not read, that is a reset: it would answer nothing.
  void close(actions& out);

  // Between confirm_channel_opened and confirm_channel_lost or hang_up.
  bool can_publish() const { return confirm_ == channel_state::open && state_ == state::running; }
  // connection.blocked: nothing may be written, nothing would be read.
  bool withholding() const { return blocked_ && state_ == state::running; }
  bool over() const { return state_ == state::over; }
  // After the answer to tune.
  std::uint32_t frame_max() const { return frame_max_; }
  std::uint16_t heartbeat() const { return heartbeat_; }
  const connection_start& server() const { return server_; }

 private:
  enum class state { idle, awaiting_start, awaiting_tune, awaiting_open, running, closing, over };
  enum class channel_state { closed, opening, selecting, open, closing };

  void on(const connection_start&, actions&);
  void on(const connection_secure&, actions&);
  void on(const connection_tune&, actions&);
  void on(const connection_open_ok&, actions&);
  void on(const connection_close&, actions&);
  void on(const connection_close_ok&, actions&);
  void on(const connection_blocked&, actions&);
  void on(const connection_unblocked&, actions&);
  void on(const channel_open_ok&, actions&);
  void on(const channel_close&, actions&);
  void on(const channel_close_ok&, actions&);
  void on(const channel_flow&, actions&);
  void on(const confirm_select_ok&, actions&);
  void on(const exchange_declare_ok&, actions&);
  void on(const basic_ack&, actions&);
  void on(const basic_nack&, actions&);
  void on(const basic_return&, actions&);
  void on(const amqp::heartbeat&, actions&);

  void open_confirm_channel(actions& out);
  bool may_answer(actions& out);
  bool in_order(bool expected, std::string_view what, actions& out);
  bool opened() const { return state_ == state::running || state_ == state::closing; }
  void set_blocked(bool blocked, bool flow_stopped, std::string_view reason, actions& out);
  void end(bool flush, int code, std::string text, actions& out);
  std::string_view waiting_for() const;

  endpoint node_;
  connection_start server_;
  state state_ = state::idle;
  channel_state confirm_ = channel_state::closed;
  channel_state control_ = channel_state::closed;
  std::uint32_t frame_max_ = 0;
  std::uint16_t heartbeat_ = 0;
  bool blocked_ = false;       // connection.blocked
  bool flow_stopped_ = false;  // channel.flow on the confirm channel
  bool wrote_ = false;         // since the last tick
  int unread_answers_ = 0;     // since the socket took something
  int silent_ticks_ = 0;       // ticks since something arrived
  int stalled_ticks_ = 0;      // ticks since the socket took something that waited
};

std::string_view sasl_name(auth mechanism);

}  // namespace outboxd::relay::amqp
