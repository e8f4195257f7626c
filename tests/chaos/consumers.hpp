// One consumer for each queue, directly at the broker. Each records what it gets before it acks it,
// and comes back after everything that ends its connection.
#pragma once

#include "tests/chaos/timeline.hpp"

#include <atomic>
#include <list>
#include <string>
#include <thread>

namespace outboxd::chaos {

class consumers {
 public:
  // How many deliveries the broker may have to repeat for each of them when it crashes.
  static constexpr std::uint16_t prefetch = 20;

  // At whichever of these brokers answers.
  consumers(std::vector<std::string> amqp_urls, const std::vector<std::string>& queues,
            const timeline& clock);
  ~consumers();

  // A paused one leaves its queue to fill up.
  void pause(const std::string& queue, bool paused);
  std::size_t received() const;

  // Ends all of them; what they have got, queue by queue in the order of arrival.
  std::vector<delivery> finish();

 private:
  struct consumer {
    std::string queue;
    std::atomic<bool> paused{false};
    std::atomic<std::size_t> count{0};
    std::vector<delivery> got = {};  // its thread's own until it has ended
    std::thread thread = {};
  };

  void run(consumer& me);
  void receive(consumer& me, const std::string& amqp_url);

  const std::vector<std::string> amqp_urls_;
  const timeline& clock_;
  std::atomic<bool> ending_{false};
  std::list<consumer> all_;
};

}  // namespace outboxd::chaos
