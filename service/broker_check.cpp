#include "service/broker_check.hpp"

#include <boost/uuid/random_generator.hpp>

#include <sstream>
#include <utility>

#include "service/broker_dialogue.hpp"

namespace outboxd::service {
namespace {

namespace amqp = relay::amqp;
using std::chrono::steady_clock;
using enum outbox::check_state;

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

class round_trip final : public broker_dialogue {
 public:
  explicit round_trip(std::chrono::milliseconds limit) : broker_dialogue(limit) {}

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
    begin();
    amqp::append_queue_declare_temporary(node().output(), amqp::control_channel,
                                         routed_.message.routing_key);
    node().declare(always_there);
    publish(unroutable_);
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
    const auto refused = amqp::append_publish(node().output(), amqp::confirm_channel, t.message,
                                              node().frame_max(), 1u << 20);
    if (refused) return settle(t, fail, refused->text);
    node().flush();
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

  void settle(trial& t, outbox::check_state state, std::string text) {
    if (t.result) return;
    t.result = broker_trial{state, std::move(text)};
    if (!routed_.result || !unroutable_.result) return;
    end();
  }

  broker_trial nothing_heard() const {
    if (!blocked_by().empty()) return {fail, "the broker takes no messages: " + blocked_by()};
    if (late()) return {fail, "no confirm came in time"};
    return {fail, "no confirm came: " + lost_over()};
  }

  trial routed_{test_message("outboxd.check." + to_string(boost::uuids::random_generator()()))};
  trial unroutable_{
      test_message("outboxd.check.nowhere." + to_string(boost::uuids::random_generator()()))};
  amqp::delivery_tag last_tag_ = 0;
  bool channel_open_ = false, control_open_ = false, begun_ = false;
};

}  // namespace

base::result<broker_answer> check_broker(const amqp::endpoint& node,
                                         std::chrono::milliseconds limit) {
  round_trip trials(limit);
  if (const auto held = trials.hold(node); !held) return held.error();
  return trials.answer();
}

}  // namespace outboxd::service
