#include "relay/amqp/session.hpp"

#include <algorithm>
#include <utility>

namespace outboxd::relay::amqp {
namespace {

constexpr std::uint32_t least_frame_max = 4096;  // AMQP 0-9-1, frame-min-size
constexpr std::uint32_t usual_frame_max = 131'072;
constexpr int max_answers = 256;     // to a server that goes on asking and reads none of them
constexpr int ticks_until_dead = 4;  // of half a heartbeat interval each

// Zero stands for "no limit" (AMQP 0-9-1, connection.tune).
template <typename T>
T lower_limit(T ours, T theirs) {
  if (ours == 0 || theirs == 0) return std::max(ours, theirs);
  return std::min(ours, theirs);
}

std::string join(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& w : words) all += (all.empty() ? "" : " ") + w;
  return all.empty() ? "nothing" : all;
}

}  // namespace

std::string_view sasl_name(auth mechanism) {
  switch (mechanism) {
    case auth::plain:
      return "PLAIN";
    case auth::amqplain:
      return "AMQPLAIN";
    case auth::external:
      return "EXTERNAL";
  }
  return "?";
}

session::session(endpoint node) : node_(std::move(node)) {}

void session::connected(actions& out) {
  state_ = state::awaiting_start;
  out.push_back(send_protocol_header{});
}

void session::received(const incoming& what, actions& out) {
  silent_ticks_ = 0;
  if (over()) return;
  std::visit([&](const auto& method) { on(method, out); }, what);
}

void session::broken(const protocol_error& why, actions& out) {
  end(false, why.code, "protocol error: " + why.text, out);
}

void session::disconnected(std::string_view why, actions& out) {
  std::string text(why);
  // Without authentication_failure_close a server says nothing about a wrong password.
  if (state_ == state::awaiting_tune)
    text += " (after the login was sent: are user and password right?)";
  if (state_ == state::awaiting_start) {
    text += node_.tls ? " (before it said anything: does it want a client certificate?)"
                      : " (before it said anything: is this an AMQP port, and without TLS?)";
  }
  end(false, 0, std::move(text), out);
}

void session::refused(std::string_view why, actions& out) {
  end(false, 0, std::string(why), out);
}

void session::timed_out(actions& out) {
  end(false, 0, "timed out waiting for " + std::string(waiting_for()), out);
}

void session::tick(bool output_pending, actions& out) {
  if (!opened()) return;
  ++silent_ticks_;
  // A server in alarm reads nothing and has paused its own watch: silence from us is right then.
  if (withholding()) {
    stalled_ticks_ = 0;
  } else {
    stalled_ticks_ = output_pending && !wrote_ ? stalled_ticks_ + 1 : 0;
    if (heartbeat_ > 0 && !wrote_ && !output_pending) out.push_back(send_heartbeat{});
  }
  wrote_ = false;
  if (heartbeat_ > 0 && silent_ticks_ > ticks_until_dead) {
    end(false, 0, "nothing received for two heartbeat intervals", out);
  } else if (stalled_ticks_ > ticks_until_dead) {
    end(false, 0, "the server has taken no data for too long", out);
  }
}

void session::wrote() {
  wrote_ = true;
  unread_answers_ = 0;
}

void session::reopen(actions& out) {
  if (state_ != state::running || confirm_ != channel_state::closed) return;
  open_confirm_channel(out);
}

void session::renew(actions& out) {
  if (!can_publish() || blocked_) return;
  confirm_ = channel_state::closing;
  out.push_back(send_channel_close{confirm_channel, 200, "opened anew"});
}

void session::close(actions& out) {
  if (over() || state_ == state::closing) return;
  if (state_ != state::running) return end(false, 0, "stopped", out);
  if (blocked_) return end(false, 0, "stopped while the server was blocked", out);
  state_ = state::closing;
  out.push_back(send_connection_close{200, "stopped"});
}

// ---- handshake

void session::on(const connection_start& start, actions& out) {
  if (!in_order(state_ == state::awaiting_start, "connection.start", out)) return;
  server_ = start;
  const std::string_view name = sasl_name(node_.mechanism);
  if (std::find(start.mechanisms.begin(), start.mechanisms.end(), name) == start.mechanisms.end()) {
    return end(false, 0,
               "the server does not offer the login mechanism " + std::string(name) +
                   ", it offers " + join(start.mechanisms),
               out);
  }
  if (!start.supports_confirms) {
    return end(false, 0, "the server does not support publisher confirms", out);
  }
  state_ = state::awaiting_tune;
  out.push_back(send_start_ok{std::string(name), sasl_response(name, node_.user, node_.password)});
}

void session::on(const connection_secure&, actions& out) {
  // None of our mechanisms has a second step.
  end(false, 0,
      "the server asks for more than " + std::string(sasl_name(node_.mechanism)) + " can say", out);
}

void session::on(const connection_tune& tune, actions& out) {
  if (!in_order(state_ == state::awaiting_tune, "connection.tune", out)) return;
  const auto channels = lower_limit(node_.channel_max, tune.channel_max);
  frame_max_ = lower_limit(node_.frame_max, tune.frame_max);
  if (frame_max_ == 0) frame_max_ = usual_frame_max;
  // The server goes by our answer. The rule is that of RabbitMQ's own clients.
  const auto ours =
      static_cast<std::uint16_t>(std::min<long long>(node_.heartbeat.count(), 0xffff));
  heartbeat_ = lower_limit(ours, tune.heartbeat);
  if (channels != 0 && channels < control_channel) {
    return end(false, 0, "channel_max 1 is too low: two channels are needed", out);
  }
  if (frame_max_ < least_frame_max) {
    return end(false, 0,
               "frame_max " + std::to_string(frame_max_) + " is too low: AMQP asks for 4096", out);
  }
  state_ = state::awaiting_open;
  out.push_back(send_tune_ok{channels, frame_max_, heartbeat_});
  out.push_back(send_connection_open{node_.vhost});
}

void session::on(const connection_open_ok&, actions& out) {
  if (!in_order(state_ == state::awaiting_open, "connection.open-ok", out)) return;
  state_ = state::running;
  open_confirm_channel(out);
  control_ = channel_state::opening;
  out.push_back(send_channel_open{control_channel});
}

// Both at once: a channel that died costs one round trip.
void session::open_confirm_channel(actions& out) {
  confirm_ = channel_state::opening;
  out.push_back(send_channel_open{confirm_channel});
  out.push_back(send_confirm_select{confirm_channel});
}

void session::on(const channel_open_ok& ok, actions& out) {
  if (state_ == state::closing) return;
  if (ok.channel == confirm_channel) {
    if (!in_order(confirm_ == channel_state::opening, "channel.open-ok", out)) return;
    confirm_ = channel_state::selecting;
  } else {
    if (!in_order(control_ == channel_state::opening, "channel.open-ok", out)) return;
    control_ = channel_state::open;
    out.push_back(control_channel_opened{});
  }
}

void session::on(const confirm_select_ok& ok, actions& out) {
  if (state_ == state::closing) return;
  const bool expected = ok.channel == confirm_channel && confirm_ == channel_state::selecting;
  if (!in_order(expected, "confirm.select-ok", out)) return;
  confirm_ = channel_state::open;
  out.push_back(confirm_channel_opened{});
}

// ---- running

void session::on(const basic_ack& ack, actions& out) {
  if (!in_order(ack.channel == confirm_channel && confirm_ == channel_state::open, "basic.ack",
                out))
    return;
  out.push_back(ack);
}

void session::on(const basic_nack& nack, actions& out) {
  if (!in_order(nack.channel == confirm_channel && confirm_ == channel_state::open, "basic.nack",
                out))
    return;
  out.push_back(nack);
}

void session::on(const basic_return& ret, actions& out) {
  if (!in_order(ret.channel == confirm_channel && confirm_ == channel_state::open, "basic.return",
                out))
    return;
  out.push_back(ret);
}

void session::on(const exchange_declare_ok& ok, actions& out) {
  const bool expected = ok.channel == control_channel && control_ == channel_state::open;
  if (!in_order(expected, "exchange.declare-ok", out)) return;
  out.push_back(ok);
}

void session::on(const connection_blocked& b, actions& out) {
  if (!in_order(opened(), "connection.blocked", out)) return;
  set_blocked(true, flow_stopped_, b.reason, out);
}

void session::on(const connection_unblocked&, actions& out) {
  if (!in_order(opened(), "connection.unblocked", out)) return;
  set_blocked(false, flow_stopped_, {}, out);
}

void session::on(const channel_flow& flow, actions& out) {
  if (!in_order(opened(), "channel.flow", out) || !may_answer(out)) return;
  out.push_back(send_channel_flow_ok{flow.channel, flow.active});
  if (flow.channel == confirm_channel) set_blocked(blocked_, !flow.active, "channel.flow", out);
}

void session::on(const channel_close& close, actions& out) {
  if (state_ == state::closing) return;  // the connection's end answers for its channels
  auto& channel = close.channel == confirm_channel ? confirm_ : control_;
  if (!in_order(state_ == state::running && channel != channel_state::closed, "channel.close", out))
    return;
  if (!may_answer(out)) return;
  out.push_back(send_channel_close_ok{close.channel});
  if (channel == channel_state::closing) return;  // both at once: it will answer ours as well
  channel = channel_state::closed;
  if (close.channel == confirm_channel) {
    out.push_back(confirm_channel_lost{close.code, close.text});
    set_blocked(blocked_, false, {}, out);  // channel.flow ends with its channel
  } else {
    control_ = channel_state::opening;
    out.push_back(control_channel_lost{close.code, close.text});
    out.push_back(send_channel_open{control_channel});
  }
}

void session::on(const channel_close_ok& ok, actions& out) {
  if (state_ == state::closing) return;
  const bool expected = ok.channel == confirm_channel && confirm_ == channel_state::closing;
  if (!in_order(expected, "channel.close-ok", out)) return;
  open_confirm_channel(out);
  set_blocked(blocked_, false, {}, out);  // channel.flow ends with its channel
}

void session::on(const amqp::heartbeat&, actions&) {}

// ---- the end

void session::on(const connection_close& close, actions& out) {
  out.push_back(send_connection_close_ok{});
  end(true, close.code, close.text, out);
}

void session::on(const connection_close_ok&, actions& out) {
  if (!in_order(state_ == state::closing, "connection.close-ok", out)) return;
  end(true, 200, "stopped", out);
}

bool session::in_order(bool expected, std::string_view what, actions& out) {
  if (!expected) broken({503, "unexpected " + std::string(what)}, out);
  return expected;
}

// What waits for the socket stays bounded, also while the server is blocked and nothing is written.
bool session::may_answer(actions& out) {
  if (++unread_answers_ <= max_answers) return true;
  broken({506, "it asks again and again and reads no answer"}, out);
  return false;
}

void session::set_blocked(bool blocked, bool flow_stopped, std::string_view reason, actions& out) {
  const bool before = blocked_ || flow_stopped_;
  const bool after = blocked || flow_stopped;
  blocked_ = blocked;
  flow_stopped_ = flow_stopped;
  if (!before && after) out.push_back(publishing_blocked{std::string(reason)});
  if (before && !after) out.push_back(publishing_unblocked{});
}

void session::end(bool flush, int code, std::string text, actions& out) {
  if (over()) return;
  state_ = state::over;
  out.push_back(hang_up{flush, code, std::move(text)});
}

std::string_view session::waiting_for() const {
  switch (state_) {
    case state::idle:
      return "the connection";
    case state::awaiting_start:
      return "connection.start";
    case state::awaiting_tune:
      return "the answer to the login";
    case state::awaiting_open:
      return "the answer to connection.open";
    case state::running:
      return "the channels to open";
    case state::closing:
      return "connection.close-ok";
    case state::over:
      return "nothing";
  }
  return "?";
}

}  // namespace outboxd::relay::amqp
