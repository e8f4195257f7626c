#include "tests/support/confirm_filter.hpp"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace outboxd::tests {

class confirm_filter::conversation final : public amqp_proxy::conversation {
 public:
  explicit conversation(confirm_filter& owner) : owner_(owner) {}

  void to_broker(const amqp_frame& f, std::string& out) override {
    out += f.all;
    const std::lock_guard lock(mutex_);
    if (f.method == amqp_method::channel_open) channels_[f.channel] = {};
    if (f.method != amqp_method::basic_publish) return;
    channel& c = channels_[f.channel];
    const auto key = routing_key_of(f);
    const bool refused = owner_.refuses(key, c.stubborn);
    c.open[c.next++] = refused                ? fate::refused
                       : owner_.swallows(key) ? fate::swallowed
                                              : fate::passed;
  }

  void to_client(const amqp_frame& f, std::string& out) override {
    if (f.method == amqp_method::basic_ack || f.method == amqp_method::basic_nack) {
      settle(f, out);
    } else {
      out += f.all;
    }
  }

  std::string heal() {
    const std::lock_guard lock(mutex_);
    std::string out;
    for (const auto& one : std::exchange(swallowed_, {})) out += one;
    for (auto& [number, c] : channels_) {
      for (auto& [tag, what] : c.open)
        if (what == fate::swallowed) what = fate::passed;
    }
    return out;
  }

 private:
  enum class fate { passed, swallowed, refused };  // of its confirm
  using tags = std::map<std::uint64_t, fate>;

  struct channel {
    std::uint64_t next = 1;
    tags open = {};
    bool stubborn = false;
  };

  void settle(const amqp_frame& f, std::string& out) {
    const std::lock_guard lock(mutex_);
    const auto [tag, multiple] = confirm_of(f);
    tags& open = channels_[f.channel].open;
    const auto first = multiple ? open.begin() : open.find(tag);
    const auto last = multiple ? open.upper_bound(tag) : first == open.end() ? first : next(first);
    for (auto at = first; at != last; at = open.erase(at)) {
      const auto method = at->second == fate::refused ? amqp_method::basic_nack : f.method;
      const std::string one = confirm_frame(f.channel, method, at->first);
      if (at->second == fate::swallowed) {
        swallowed_.push_back(one);
      } else {
        out += one;
      }
    }
  }

  confirm_filter& owner_;
  std::mutex mutex_;  // guards what follows
  std::map<std::uint16_t, channel> channels_;
  std::vector<std::string> swallowed_;
};

confirm_filter::confirm_filter(int broker_port)
    : proxy_(broker_port, [this] { return std::make_unique<conversation>(*this); }) {}

bool confirm_filter::swallows(std::string_view routing_key) {
  const std::lock_guard lock(mutex_);
  if (routing_key_.empty() || routing_key != routing_key_) return false;
  ++swallowed_;
  return true;
}

bool confirm_filter::refuses(std::string_view routing_key, bool& stubborn) {
  const std::lock_guard lock(mutex_);
  if (refused_key_.empty() || routing_key != refused_key_) return false;
  stubborn = stubborn || refusing_;
  return stubborn;
}

void confirm_filter::refuse(const std::string& routing_key) {
  const std::lock_guard lock(mutex_);
  refused_key_ = routing_key;
  refusing_ = true;
}

void confirm_filter::relent() {
  const std::lock_guard lock(mutex_);
  refusing_ = false;
}

void confirm_filter::swallow(const std::string& routing_key) {
  const std::lock_guard lock(mutex_);
  routing_key_ = routing_key;
}

// A conversation asks under its own lock, hence never both locks here.
void confirm_filter::heal() {
  {
    const std::lock_guard lock(mutex_);
    routing_key_.clear();
  }
  proxy_.tell_clients(
      [](amqp_proxy::conversation& one) { return static_cast<conversation&>(one).heal(); });
}

std::size_t confirm_filter::swallowed() {
  const std::lock_guard lock(mutex_);
  return swallowed_;
}

}  // namespace outboxd::tests
