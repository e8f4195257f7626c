// What the decoder made of the bytes of a broker, as one line of text.
#pragma once

#include <string>

#include "relay/amqp/codec.hpp"

namespace outboxd::relay::amqp {

struct describe {
  std::string operator()(const connection_start& m) const {
    std::string text = "start";
    for (const auto& name : m.mechanisms) text += " " + name;
    text += "; " + m.product + " " + m.version + " " + m.cluster_name + ";";
    if (m.supports_confirms) text += " confirms";
    return text;
  }
  std::string operator()(const connection_secure&) const { return "secure"; }
  std::string operator()(const connection_tune& m) const {
    return "tune " + std::to_string(m.channel_max) + " " + std::to_string(m.frame_max) + " " +
           std::to_string(m.heartbeat);
  }
  std::string operator()(const connection_open_ok&) const { return "open-ok"; }
  std::string operator()(const connection_close& m) const {
    return "close " + std::to_string(m.code) + " " + m.text;
  }
  std::string operator()(const connection_close_ok&) const { return "close-ok"; }
  std::string operator()(const connection_blocked& m) const { return "blocked " + m.reason; }
  std::string operator()(const connection_unblocked&) const { return "unblocked"; }
  std::string operator()(const channel_open_ok& m) const { return on(m.channel) + "open-ok"; }
  std::string operator()(const channel_close& m) const {
    return on(m.channel) + "close " + std::to_string(m.code) + " " + m.text;
  }
  std::string operator()(const channel_close_ok& m) const { return on(m.channel) + "close-ok"; }
  std::string operator()(const channel_flow& m) const {
    return on(m.channel) + (m.active ? "flow on" : "flow off");
  }
  std::string operator()(const confirm_select_ok& m) const { return on(m.channel) + "select-ok"; }
  std::string operator()(const exchange_declare_ok& m) const {
    return on(m.channel) + "declare-ok";
  }
  std::string operator()(const basic_ack& m) const {
    return on(m.channel) + "ack " + std::to_string(m.tag) + (m.multiple ? " multiple" : "");
  }
  std::string operator()(const basic_nack& m) const {
    return on(m.channel) + "nack " + std::to_string(m.tag) + (m.multiple ? " multiple" : "");
  }
  std::string operator()(const basic_return& m) const {
    return on(m.channel) + "return " + std::to_string(m.code) + " " + m.text + " " + m.exchange +
           " " + m.routing_key + " " + m.message_id;
  }
  std::string operator()(const heartbeat&) const { return "heartbeat"; }

  static std::string on(channel_id channel) { return std::to_string(channel) + ": "; }
};

}  // namespace outboxd::relay::amqp
