#include "service/broker_check.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/uuid/random_generator.hpp>

#include <sstream>
#include <utility>

#include "relay/amqp/connection.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

namespace amqp = relay::amqp;
using std::chrono::steady_clock;
using enum outbox::check_state;

// `check` reports one line for each node; what the connection logs about it is in that line.
class no_log final : public base::logger {
  void write(base::severity, std::string_view, std::span<const base::field>) override {}
};

// The broker says no to the login (403), or to its use of the virtual host (530, which is also said
// of one that does not exist).
base::failure no_connection(const std::string& why) {
  const bool refused = why.starts_with("403 ") ||
                       (why.starts_with("530 ") && why.find(" refused for user ") != why.npos);
  return {refused ? base::failure_kind::forbidden : base::failure_kind::unavailable, why};
}

constexpr std::string_view always_there = R"(amq.direct)";  // every virtual host has it

outbox::message test_message(const std::string& queue) {
  outbox::message m;
  m.ref.message_id = boost::uuids::random_generator()();
  m.routing_key = queue;
  m.type = "outboxd check";
  m.content_type = "text/plain";
  m.body = "written by outboxd check";
  m.body_loaded = true;
  m.created_at = std::chrono::system_clock::now();
  return m;
}

std::string since(steady_clock::time_point then) {
  const std::chrono::duration<double, std::milli> took = steady_clock::now() - then;
  std::ostringstream out;
  out.precision(3);
  out << took.count() << " ms";
  return out.str();
}

// One message and its answer. A return comes before the ack and carries no tag.
struct trial {
  outbox::message message;
  amqp::delivery_tag tag = 0;  // 0: not published
  steady_clock::time_point published{};
  std::string returned{};  // what the broker said
  std::optional<broker_trial> result{};
};

class round_trip final : public amqp::connection_events {
 public:
  round_trip(const boost::asio::any_io_executor& executor, std::chrono::milliseconds limit)
      : timer_(executor), limit_(limit) {}

  // Before it runs.
  void watch(amqp::connection& connection) { connection_ = &connection; }

  broker_answer answer() const {
    return {routed_.result.value_or(nothing_heard()), unroutable_.result.value_or(nothing_heard())};
  }

 private:
  void opened() override {
    channel_open_ = true;
    begin_once();
  }
  void control_opened() override {
    control_open_ = true;
    begin_once();
  }

  // Nobody waits for the answer to a declare without a wait; but the answer to what is asked next
  // on the same channel comes after it.
  void begin_once() {
    if (!channel_open_ || !control_open_ || std::exchange(begun_, true)) return;
    amqp::append_queue_declare_temporary(connection_->output(), amqp::control_channel,
                                         routed_.message.routing_key);
    connection_->declare(always_there);
    publish(unroutable_);
    timer_.expires_after(limit_);
    timer_.async_wait([this](const boost::system::error_code& cancelled) {
      if (cancelled) return;
      late_ = true;
      connection_->close(std::chrono::seconds(1));
    });
  }

  bool declared() override {
    if (!begun_ || routed_.tag != 0) return false;
    publish(routed_);
    return true;
  }
  void control_lost(int code, const std::string& text) override {
    if (routed_.tag != 0) return;
    settle(routed_, warn, "not tested: no temporary queue, " + std::to_string(code) + " " + text);
  }

  void publish(trial& t) {
    if (t.result) return;
    t.tag = ++last_tag_;
    t.published = steady_clock::now();
    const auto refused = amqp::append_publish(connection_->output(), amqp::confirm_channel,
                                              t.message, connection_->frame_max(), 1u << 20);
    if (refused) return settle(t, fail, refused->text);
    connection_->flush();
  }

  bool acked(amqp::delivery_tag tag, bool multiple) override {
    return answered(tag, multiple, [this](trial& t) { confirmed(t); });
  }
  bool nacked(amqp::delivery_tag tag, bool multiple) override {
    return answered(tag, multiple,
                    [this](trial& t) { settle(t, fail, "the broker refused it (basic.nack)"); });
  }

  template <typename Then>
  bool answered(amqp::delivery_tag tag, bool multiple, Then then) {
    if (tag > last_tag_) return false;
    for (trial* t : {&unroutable_, &routed_}) {
      const bool meant = t->tag == tag || (multiple && t->tag < tag);
      if (meant && t->tag != 0 && !t->result) then(*t);
    }
    return true;
  }

  void confirmed(trial& t) {
    const bool to_nowhere = &t == &unroutable_;
    const std::string took = since(t.published);
    if (to_nowhere && t.returned.empty()) {
      settle(t, fail,
             "confirmed, and not returned before: what reaches no queue would count as sent");
    } else if (to_nowhere) {
      settle(t, ok, "returned before its confirm (" + t.returned + "), in " + took);
    } else if (!t.returned.empty()) {
      settle(t, fail, "returned (" + t.returned + ") although its queue is there");
    } else {
      settle(t, ok, "a message to a temporary queue was confirmed in " + took);
    }
  }

  bool returned(const amqp::basic_return& r) override {
    for (trial* t : {&unroutable_, &routed_}) {
      if (to_string(t->message.ref.message_id) != r.message_id) continue;
      t->returned = std::to_string(r.code) + " " + r.text;
      return true;
    }
    return false;
  }

  // Most often: the user may not publish to the default exchange, as is right for one who publishes
  // to others only.
  void channel_lost(int code, const std::string& text) override {
    for (trial* t : {&unroutable_, &routed_}) {
      settle(*t, code == 403 ? warn : fail, "not tested: " + std::to_string(code) + " " + text);
    }
  }

  void blocked(bool is_blocked, const std::string& reason) override {
    blocked_ = is_blocked ? reason : "";
  }

  void settle(trial& t, outbox::check_state state, std::string text) {
    if (t.result) return;
    t.result = broker_trial{state, std::move(text)};
    if (!routed_.result || !unroutable_.result) return;
    timer_.cancel();
    connection_->close(std::chrono::seconds(1));
  }

  broker_trial nothing_heard() const {
    if (!blocked_.empty()) return {fail, "the broker takes no messages: " + blocked_};
    if (late_) return {fail, "no confirm came in time"};
    return {fail, "no confirm came: " + lost_};
  }

  void lost(relay::doubt, int, const std::string& text) override {
    timer_.cancel();
    lost_ = text;
  }
  void read_done() override {}
  void writable() override {}

  amqp::connection* connection_ = nullptr;
  boost::asio::steady_timer timer_;
  std::chrono::milliseconds limit_;
  trial routed_{test_message("outboxd.check." + to_string(boost::uuids::random_generator()()))};
  trial unroutable_{
      test_message("outboxd.check.nowhere." + to_string(boost::uuids::random_generator()()))};
  amqp::delivery_tag last_tag_ = 0;
  bool channel_open_ = false, control_open_ = false, begun_ = false, late_ = false;
  std::string blocked_, lost_;
};

}  // namespace

base::result<broker_answer> check_broker(const amqp::endpoint& node,
                                         std::chrono::milliseconds limit) {
  boost::asio::io_context io{1};
  no_log log;
  amqp::connection_options options;
  options.client = {"outboxd:check", std::string(version())};
  options.random = [] { return 0.5; };
  round_trip events(io.get_executor(), limit);
  const auto connection =
      std::make_shared<amqp::connection>(io.get_executor(), node, options, log, events);
  events.watch(*connection);
  std::optional<amqp::connection::ending> ending;
  boost::asio::co_spawn(io, connection->run(),
                        [&](const std::exception_ptr& bug, amqp::connection::ending e) {
                          if (bug) std::rethrow_exception(bug);
                          ending = std::move(e);
                        });
  io.run();
  if (ending && ending->was_open) return events.answer();
  return no_connection(ending ? ending->text : "no answer");
}

}  // namespace outboxd::service
