// How many messages wait in each of some queues, exactly and now: queue_depth URL QUEUE…
// (The statistics of the broker are seconds late, and rabbitmqctl takes a second to start.)
#include "tests/support/amqp_probe.hpp"

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  try {
    if (argc < 3) throw std::runtime_error("usage: queue_depth URL QUEUE…");
    outboxd::tests::amqp_probe broker(argv[1]);
    for (int n = 2; n < argc; ++n) {
      const auto queue = broker.queue(argv[n]);
      if (!queue) throw std::runtime_error(std::string("no queue ") + argv[n]);
      std::printf("%u\n", queue->messages);
    }
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "queue_depth: %s\n", e.what());
    return 1;
  }
}
