// A core that leads over a table in memory and a broker that answers at once, on a clock that jumps
// to the next moment at which something happens.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "relay/core.hpp"
#include "tests/support/memory_store.hpp"

namespace outboxd::relay {

using namespace std::chrono_literals;

class core_world : public testing::Test {
 protected:
  explicit core_world(options o = options{})
      : core_(
            o, 1, [] { return 0.5; }, 1'024) {
    core_.lane_opened(0);
  }

  std::int64_t insert(const std::string& routing_key, std::optional<std::string> key = std::nullopt,
                      std::optional<std::chrono::milliseconds> in = std::nullopt) {
    outbox::message m;
    m.routing_key = routing_key;
    m.ordering_key = std::move(key);
    m.body = "{}";
    std::optional<tests::memory_store::time_point> not_before;
    if (in) not_before = table_.now() + *in;
    return table_.insert(std::move(m), not_before).id;
  }

  void lead() { core_.lead_gained(table_.take_lead(), now_); }

  // Lets everything happen that does within this time.
  void run_for(std::chrono::milliseconds d) {
    const time_point end = now_ + d;
    for (;;) {
      while (step()) {
      }
      const auto next = core_.next_poll();
      if (!next || *next > end) break;
      ASSERT_GT(*next, now_) << "it is to be polled although that changes nothing";
      advance(std::chrono::ceil<std::chrono::milliseconds>(*next - now_));
    }
    advance(std::chrono::ceil<std::chrono::milliseconds>(end - now_));
  }

  std::size_t count(tests::row_status s) const { return table_.count(s); }

  // What the broker makes of it; confirmed if not told otherwise.
  std::function<verdict(const row&)> broker_ = [](const row&) { return verdict::confirmed; };

  boost::asio::io_context context_;
  tests::memory_store table_{context_.get_executor()};
  core core_;
  time_point now_{1h};
  std::vector<std::int64_t> published_, confirmed_;  // ids, in this order
  std::size_t most_rows_ = 0;                        // in memory, so far

 private:
  static constexpr lane_id quarantine = 1;

  void advance(std::chrono::milliseconds by) {
    now_ += by;
    table_.advance(by);
  }

  bool step() {
    std::vector<action> todo;
    core_.poll(now_, todo);
    for (action& a : todo) {
      std::visit([this](auto& what) { obey(what); }, a);
    }
    context_.restart();
    const bool answered = context_.poll() > 0;
    most_rows_ = std::max(most_rows_, core_.rows_in_memory());
    return answered || !todo.empty();
  }

  void obey(do_read& a) {
    table_.read(std::move(a.request),
                [this](auto answer) { core_.read_answered(std::move(answer), now_); });
  }
  void obey(do_load_bodies& a) {
    table_.load_bodies(std::move(a.rows),
                       [this](auto bodies) { core_.bodies_loaded(std::move(bodies), now_); });
  }
  void obey(do_load_failed& a) {
    table_.load_failed(a.after, a.dead_too, a.limit,
                       [this](auto failed) { core_.failed_loaded(failed, now_); });
  }
  void obey(do_load_pauses&) {
    table_.load_pauses([this](auto told) { core_.pauses_loaded(told, now_); });
  }
  void obey(do_settle& a) {
    table_.settle(std::move(a.rows), [this](auto changed) { core_.settled(changed, now_); });
  }
  void obey(do_decide& a) {
    table_.decide(a.epoch, std::move(a.decisions),
                  [this](auto changed) { core_.decided(changed, now_); });
  }
  void obey(do_publish& a) {
    const outbox::row_ref ref = a.what->msg.ref;
    const verdict what = broker_(*a.what);
    published_.push_back(ref.id);
    if (what == verdict::confirmed) confirmed_.push_back(ref.id);
    boost::asio::post(context_, [this, ref, what] {
      core_.landed({.ref = ref, .what = what, .why = doubt::none, .code = 0, .text = ""}, now_);
    });
  }
  void obey(do_want_quarantine& a) {
    if (a.wanted) {
      core_.lane_opened(quarantine);
    } else {
      core_.lane_closed(quarantine, doubt::connection_lost, now_);
    }
  }
  void obey(do_renew& a) { core_.lane_opened(a.lane); }
  void obey(do_tell&) {}
  void obey(do_tell_pause&) {}
  void obey(do_try_wake_lock&) {
    boost::asio::post(context_, [this] { core_.wake_lock_answered(true, now_); });
  }
  void obey(do_release_wake_lock&) {}
};

}  // namespace outboxd::relay
