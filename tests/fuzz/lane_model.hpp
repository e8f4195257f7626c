// A lane without a socket: decoder, session, topology and confirms put together as connection and
// lane do, with a second, simpler bookkeeping beside them that every outcome is held against.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "relay/amqp/codec.hpp"
#include "relay/amqp/confirms.hpp"
#include "relay/amqp/session.hpp"
#include "relay/amqp/topology.hpp"

namespace outboxd::fuzz {

class lane_model {
 public:
  lane_model();

  // Events. Each checks what must hold after it.
  void feed(std::string_view bytes);
  void publish(const std::string& exchange, std::optional<std::string> key);
  void tick();
  void wrote();
  void close();
  void timed_out();
  void reopen();
  void renew();

  bool over() const { return session_.over(); }
  // The connection is gone; every row has its outcome now.
  void finish();

 private:
  enum class fate { submitted, published, settled };
  struct known_row {
    outbox::message row;
    fate now = fate::submitted;
    bool returned = false;
  };

  void obey();
  void act(const relay::amqp::send_protocol_header&);
  void act(const relay::amqp::send_start_ok&);
  void act(const relay::amqp::send_tune_ok&);
  void act(const relay::amqp::send_connection_open&);
  void act(const relay::amqp::send_connection_close&);
  void act(const relay::amqp::send_connection_close_ok&);
  void act(const relay::amqp::send_channel_open&);
  void act(const relay::amqp::send_channel_close&);
  void act(const relay::amqp::send_channel_close_ok&);
  void act(const relay::amqp::send_channel_flow_ok&);
  void act(const relay::amqp::send_confirm_select&);
  void act(const relay::amqp::send_heartbeat&);
  void act(const relay::amqp::confirm_channel_opened&);
  void act(const relay::amqp::confirm_channel_lost&);
  void act(const relay::amqp::control_channel_opened&);
  void act(const relay::amqp::control_channel_lost&);
  void act(const relay::amqp::publishing_blocked&);
  void act(const relay::amqp::publishing_unblocked&);
  void act(const relay::amqp::hang_up&);
  void act(const relay::amqp::basic_ack&);
  void act(const relay::amqp::basic_nack&);
  void act(const relay::amqp::basic_return&);
  void act(const relay::amqp::exchange_declare_ok&);

  void confirmed(relay::amqp::delivery_tag tag, bool multiple, relay::verdict what);
  void follow(const relay::amqp::topology::steps& steps);
  void abandon(relay::doubt why);
  known_row& settle(const relay::outcome& o);

  relay::amqp::decoder decoder_;
  relay::amqp::session session_;
  relay::amqp::topology topology_;
  relay::amqp::confirms confirms_;
  relay::amqp::actions todo_;
  std::string out_;
  bool obeying_ = false, channel_open_ = false, blocked_ = false, hung_up_ = false;
  std::size_t of_rows_ = 0;  // bytes in out_ that are publishes and declares

  std::vector<std::unique_ptr<known_row>> rows_;
  std::map<relay::amqp::delivery_tag, known_row*> open_tags_;  // of the channel that is open
  relay::amqp::delivery_tag last_tag_ = 0;
};

}  // namespace outboxd::fuzz
