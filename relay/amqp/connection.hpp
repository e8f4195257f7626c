// One connection to one node, from the first address look-up to the closed socket: carries out what
// the session says. Made for one run(); the owner publishes by appending to output() and calling
// flush(). Reads never wait for writes. Everything happens on one executor. Ends by itself, by
// close() or by give_up(); a connection that is given up is reset, so that nothing it had buffered
// is published later.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "relay/amqp/codec.hpp"
#include "relay/amqp/session.hpp"
#include "relay/amqp/stream.hpp"
#include "relay/amqp/uri.hpp"
#include "relay/verdict.hpp"

namespace outboxd::relay::amqp {

// None of these may destroy the connection.
class connection_events {
 public:
  virtual ~connection_events() = default;

  virtual void opened() = 0;  // publish on confirm_channel, from tag 1 on
  virtual void channel_lost(int code, const std::string& text) = 0;  // it opens again by itself
  virtual void lost(doubt why, int code,
                    const std::string& text) = 0;  // once for each run(), the last
  virtual void blocked(bool is_blocked, const std::string& reason) = 0;

  // False: the broker cannot mean that; the connection is given up.
  virtual bool acked(delivery_tag tag, bool multiple) = 0;
  virtual bool nacked(delivery_tag tag, bool multiple) = 0;
  virtual bool returned(const basic_return& message) = 0;

  virtual void control_opened() = 0;
  virtual bool declared() = 0;
  virtual void control_lost(int code, const std::string& text) = 0;

  virtual void read_done() = 0;  // everything that came in one read has been passed on
  virtual void writable() = 0;   // output() was written
};

struct connection_options {
  client_properties client;
  std::size_t lane = 0;            // for the log
  std::function<double()> random;  // in [0,1)
};

class connection : public std::enable_shared_from_this<connection> {
 public:
  struct ending {
    bool was_open = false;
    bool was_of_use = false;  // the broker confirmed something, or had all the time to do so
    std::string text;
  };

  connection(const boost::asio::any_io_executor& executor, endpoint node,
             connection_options options, base::logger& log, connection_events& events);

  boost::asio::awaitable<ending> run();

  // Encode here, then flush(). Bytes stay here while the broker is blocked.
  std::string& output() { return out_; }
  void flush();
  std::size_t buffered() const { return out_.size() + writing_.size() - written_; }
  std::uint32_t frame_max() const { return session_.frame_max(); }
  void declare(std::string_view exchange);
  // The confirm channel is closed and opened again: opened() says when.
  void renew();

  // Gracefully within the limit, without one at once; by reset when it is over.
  void close(std::chrono::milliseconds limit);
  void give_up(doubt why, const std::string& text);
  // As give_up, and neither the events nor the log are touched again.
  void detach();

 private:
  // For connection.close-ok, and for the reader to find why the server hung up.
  static constexpr std::chrono::seconds time_for_last_words{2};

  boost::asio::awaitable<void> read_loop();
  boost::asio::awaitable<void> write_loop(std::shared_ptr<connection> self);
  boost::asio::awaitable<void> finish_writing();
  bool may_write() const;

  void obey();
  void act(send_protocol_header&);
  void act(send_start_ok&);
  void act(send_tune_ok&);
  void act(send_connection_open&);
  void act(send_connection_close&);
  void act(send_connection_close_ok&);
  void act(send_channel_open&);
  void act(send_channel_close&);
  void act(send_channel_close_ok&);
  void act(send_channel_flow_ok&);
  void act(send_confirm_select&);
  void act(send_heartbeat&);
  void act(confirm_channel_opened&);
  void act(confirm_channel_lost&);
  void act(control_channel_opened&);
  void act(control_channel_lost&);
  void act(publishing_blocked&);
  void act(publishing_unblocked&);
  void act(hang_up&);
  void act(basic_ack&);
  void act(basic_nack&);
  void act(basic_return&);
  void act(exchange_declare_ok&);

  void distrust(std::string text);
  void reopen();
  void reopen_now();
  void limit_unacknowledged();
  void follow_blocking();
  void expect_the_end(std::string text);
  void arm_deadline(std::chrono::milliseconds limit);
  void arm_tick();
  std::chrono::milliseconds patience() const;
  void write_log(base::severity level, std::string_view event, std::vector<base::field> fields);

  endpoint node_;
  connection_options options_;
  base::logger& log_;
  connection_events* events_;  // null once detached

  session session_;
  stream stream_;
  decoder decoder_;
  actions todo_;
  bool obeying_ = false;
  ending ending_;
  doubt why_ = doubt::connection_lost;

  std::array<char, 65'536> inbox_;
  std::vector<incoming> arrived_;
  std::string out_;      // encoded, not yet given to the socket
  std::string writing_;  // being written; written_ bytes of it are gone
  std::size_t written_ = 0;
  bool writer_idle_ = true;  // no writer runs
  bool flush_at_end_ = false;
  bool was_withholding_ = false;
  bool confirmed_since_open_ = false;
  std::chrono::steady_clock::time_point blocked_since_;

  int channels_lost_ = 0;  // one after the other, young and without a confirm
  std::chrono::steady_clock::time_point channel_opened_at_;
  boost::asio::steady_timer wake_;      // the writer waits here; never expires
  boost::asio::steady_timer flushed_;   // the limit of the last writes
  boost::asio::steady_timer deadline_;  // of the handshake, of an opening channel, of close
  boost::asio::steady_timer tick_;
  boost::asio::steady_timer reopen_;
};

}  // namespace outboxd::relay::amqp
