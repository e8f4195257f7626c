// What each action of the session means for a connection.
#include "relay/amqp/connection.hpp"

#include <iterator>
#include <utility>

namespace outboxd::relay::amqp {

void connection::act(send_protocol_header&) {
  append_protocol_header(out_);
}

void connection::act(send_start_ok& a) {
  append_start_ok(out_, options_.client, a.mechanism, a.response);
}

void connection::act(send_tune_ok& a) {
  append_tune_ok(out_, a.channel_max, a.frame_max, a.heartbeat);
  decoder_.set_frame_max(a.frame_max);
  limit_unacknowledged();
  arm_tick();
}

void connection::act(send_connection_open& a) {
  append_connection_open(out_, a.vhost);
}

void connection::act(send_connection_close& a) {
  append_connection_close(out_, a.code, a.text);
}

void connection::act(send_connection_close_ok&) {
  append_connection_close_ok(out_);
}

void connection::act(send_channel_open& a) {
  decoder_.open_channel(a.channel);
  append_channel_open(out_, a.channel);
}

void connection::act(send_channel_close& a) {
  append_channel_close(out_, a.channel, a.code, a.text);
}

void connection::act(send_channel_close_ok& a) {
  append_channel_close_ok(out_, a.channel);
  decoder_.close_channel(a.channel);
}

void connection::act(send_channel_flow_ok& a) {
  append_channel_flow_ok(out_, a.channel, a.active);
}

void connection::act(send_confirm_select& a) {
  append_confirm_select(out_, a.channel);
}

void connection::act(send_heartbeat&) {
  append_heartbeat(out_);
}

void connection::act(confirm_channel_opened&) {
  deadline_.cancel();
  confirmed_since_open_ = false;
  channel_opened_at_ = std::chrono::steady_clock::now();
  if (!ending_.was_open) {
    ending_.was_open = true;
    write_log(base::severity::info, "amqp.connected",
              {{"product", session_.server().product},
               {"version", session_.server().version},
               {"cluster", session_.server().cluster_name},
               {"tls", node_.tls ? stream_.tls_version() : "no"}});
  } else {
    write_log(base::severity::info, "amqp.channel_opened", {});
  }
  if (events_) events_->opened();
}

void connection::act(confirm_channel_lost& a) {
  write_log(base::severity::warn, "amqp.channel_closed", {{"code", a.code}, {"text", a.text}});
  if (events_) events_->channel_lost(a.code, a.text);
  reopen();
}

void connection::act(control_channel_opened&) {
  if (events_) events_->control_opened();
}

void connection::act(control_channel_lost& a) {
  if (events_) events_->control_lost(a.code, a.text);
}

void connection::act(publishing_blocked& a) {
  blocked_since_ = std::chrono::steady_clock::now();
  write_log(base::severity::warn, "amqp.blocked", {{"reason", a.reason}});
  if (events_) events_->blocked(true, a.reason);
}

void connection::act(publishing_unblocked&) {
  const std::chrono::duration<double> lasted = std::chrono::steady_clock::now() - blocked_since_;
  write_log(base::severity::info, "amqp.unblocked", {{"seconds", lasted.count()}});
  if (events_) events_->blocked(false, {});
}

void connection::act(hang_up& a) {
  ending_.text = a.code == 0 ? a.text : std::to_string(a.code) + " " + a.text;
  if (why_ == doubt::timeout) ending_.was_of_use = true;
  flush_at_end_ = a.flush;
  for (auto* timer : {&deadline_, &tick_, &reopen_}) timer->cancel();
  if (a.flush) {
    flushed_.expires_after(time_for_last_words);
  } else {
    stream_.abandon();
  }
  wake_.cancel();
  if (ending_.was_open) {
    const auto level = a.text == "stopped" ? base::severity::info : base::severity::warn;
    write_log(level, "amqp.disconnected", {{"code", a.code}, {"text", a.text}});
  }
  if (auto* events = std::exchange(events_, nullptr)) events->lost(why_, a.code, a.text);
}

void connection::act(basic_ack& a) {
  confirmed_since_open_ = ending_.was_of_use = true;
  if (events_ && !events_->acked(a.tag, a.multiple)) {
    distrust("the broker confirmed tag " + std::to_string(a.tag) +
             ", which it never got or has settled before");
  }
}

void connection::act(basic_nack& a) {
  confirmed_since_open_ = ending_.was_of_use = true;
  if (events_ && !events_->nacked(a.tag, a.multiple)) {
    distrust("the broker refused tag " + std::to_string(a.tag) +
             ", which it never got or has settled before");
  }
}

void connection::act(basic_return& a) {
  if (events_ && !events_->returned(a)) {
    distrust("the broker returned a message that is not unconfirmed");
  }
}

void connection::act(exchange_declare_ok&) {
  if (events_ && !events_->declared()) distrust("the broker answered a declare that was not sent");
}

void connection::distrust(std::string text) {
  write_log(base::severity::error, "amqp.protocol_error", {{"text", text}});
  session_.broken({503, std::move(text)}, todo_);
}

void connection::write_log(base::severity level, std::string_view event,
                           std::vector<base::field> fields) {
  if (!events_) return;  // detached: the log may be gone
  std::vector<base::field> all{{"lane", options_.lane}, {"node", node_.redacted()}};
  all.insert(all.end(), std::make_move_iterator(fields.begin()),
             std::make_move_iterator(fields.end()));
  log_.write(level, event, std::span<const base::field>(all));
}

}  // namespace outboxd::relay::amqp
