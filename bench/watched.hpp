// What goes over one connection through the proxy: which number has which delivery tag, and when it
// was published and confirmed. Everything is passed on as it is.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "bench/journal.hpp"
#include "tests/support/amqp_proxy.hpp"

namespace outboxd::bench {

class watched final : public tests::amqp_proxy::conversation {
 public:
  explicit watched(journal& times) : times_(times) {}

  void to_broker(const tests::amqp_frame& f, std::string& out) override {
    out += f.all;
    if (f.method == tests::amqp_method::channel_open) {
      const std::lock_guard lock(mutex_);
      channels_[f.channel] = {};
    } else if (f.method == tests::amqp_method::basic_publish) {
      body_follows_[f.channel] = true;
    } else if (f.type == tests::amqp_frame::body_type &&
               std::exchange(body_follows_[f.channel], false)) {
      const std::int64_t number = journal::number_in(f.payload);
      times_.note(number, moment::published);
      const std::lock_guard lock(mutex_);
      channels_[f.channel].open.push_back({number, false});
    }
  }

  void to_client(const tests::amqp_frame& f, std::string& out) override {
    out += f.all;
    if (f.method != tests::amqp_method::basic_ack) return;
    const auto now = journal::clock::now();
    const auto [tag, multiple] = tests::confirm_of(f);
    const std::lock_guard lock(mutex_);
    channel& c = channels_[f.channel];
    for (std::uint64_t t = multiple ? c.first : tag; t <= tag; ++t) {
      auto& [number, done] = c.open.at(t - c.first);
      if (!std::exchange(done, true)) times_.note(number, moment::confirmed, now);
    }
    for (; !c.open.empty() && c.open.front().done; c.open.pop_front()) ++c.first;
  }

 private:
  struct publish {
    std::int64_t number;
    bool done;
  };
  struct channel {
    std::uint64_t first = 1;  // tag of the first that is open
    std::deque<publish> open = {};
  };

  journal& times_;
  std::map<std::uint16_t, bool> body_follows_;
  std::mutex mutex_;  // guards what follows
  std::map<std::uint16_t, channel> channels_;
};

}  // namespace outboxd::bench
