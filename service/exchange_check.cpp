#include "service/exchange_check.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <utility>

#include "service/broker_dialogue.hpp"

namespace outboxd::service {
namespace {

namespace amqp = relay::amqp;

constexpr int access_refused = 403;

// Every virtual host has both.
std::string_view other_than(const std::string& exchange) {
  return exchange == R"(amq.direct)" ? R"(amq.fanout)" : R"(amq.direct)";
}

// That an exchange exists is asked by a passive declare, which wants no permission. The permission
// to write into it is the first thing the broker looks at when a binding that leads into it is to
// go; the one to read from where it comes is the second, and not ours to have. The binding that is
// named has never been there. Nobody waits for an answer to that: it has come before the answer to
// the declare that follows.
class exchange_questions final : public broker_dialogue {
 public:
  exchange_questions(const std::vector<std::string>& names, std::chrono::milliseconds limit)
      : broker_dialogue(limit), names_(names) {}

  exchange_answers take() {
    if (answers_.given.size() < names_.size()) {
      answers_.silence = late()                  ? "the time was over"
                         : !blocked_by().empty() ? "the broker takes nothing: " + blocked_by()
                                                 : lost_over();
    }
    return std::move(answers_);
  }

 private:
  enum class question { none, does_it_exist, may_we_write };

  const std::string& name() const { return names_[answers_.given.size()]; }
  bool all_answered() const { return answers_.given.size() == names_.size(); }

  void control_opened() override {
    if (!std::exchange(begun_, true)) begin();
    ask(question::does_it_exist);
  }

  void ask(question what) {
    if (all_answered()) return end();
    asked_ = what;
    if (what == question::may_we_write) {
      amqp::append_exchange_unbind(node().output(), amqp::control_channel, name(),
                                   other_than(name()), never_bound_);
    }
    node().declare(name());
  }

  bool declared() override {
    if (asked_ == question::none || all_answered()) return false;
    if (asked_ == question::does_it_exist) {
      ask(question::may_we_write);
    } else {
      answer(0, "");
      ask(question::does_it_exist);
    }
    return true;
  }

  // The channel opens again by itself, and the next question goes over that one.
  void control_lost(int code, const std::string& text) override {
    if (asked_ == question::none || all_answered()) return;
    const bool only_reading_is_refused =
        asked_ == question::may_we_write && code == access_refused &&
        text.find("'" + std::string(other_than(name())) + "'") != std::string::npos;
    if (only_reading_is_refused) {
      answer(0, "");
    } else {
      answer(code, text);
    }
    asked_ = question::none;
  }

  void answer(int code, const std::string& text) { answers_.given.push_back({name(), code, text}); }

  const std::vector<std::string>& names_;
  const std::string never_bound_ = "outboxd.check." + to_string(boost::uuids::random_generator()());
  exchange_answers answers_;
  question asked_ = question::none;
  bool begun_ = false;
};

}  // namespace

base::result<exchange_answers> ask_about_exchanges(const amqp::endpoint& node,
                                                   const std::vector<std::string>& names,
                                                   std::chrono::milliseconds limit) {
  exchange_questions questions(names, limit);
  if (const auto held = questions.hold(node); !held) return held.error();
  return questions.take();
}

}  // namespace outboxd::service
