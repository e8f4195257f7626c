// Looks at a relay from outside, the same way at each of them; prints JSON.
//
//   relay_watch drain AMQP_URL QUEUE MESSAGES
//     Prints {} when it looks, then {"depth": …, "at": …} twice: when there is a first message in
//     the queue and when there are so many; at: seconds of the steady clock.
//   relay_watch lone AMQP_URL QUEUE DATABASE_URI ROWS STATEMENT
//     Commits the statement, which makes one message, consumes that, pauses, and again: an array of
//     the milliseconds from the answer to the commit until the delivery. The queue has to be empty.
#include "tests/support/amqp_probe.hpp"

#include <pqxx/pqxx>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using outboxd::tests::amqp_probe;

constexpr auto glance = 10ms;  // between two looks at the queue

void say(std::uint32_t depth, clock_type::time_point at) {
  const std::chrono::duration<double> seconds = at.time_since_epoch();
  std::printf("{\"depth\": %u, \"at\": %.6f}\n", depth, seconds.count());
  std::fflush(stdout);
}

void drain(const std::string& url, const std::string& name, std::uint32_t messages) {
  amqp_probe broker(url);
  std::puts("{}");
  std::fflush(stdout);
  for (bool begun = false;; std::this_thread::sleep_for(glance)) {
    const auto queue = broker.queue(name);
    if (!queue) throw std::runtime_error("no queue " + name);
    const auto now = clock_type::now();
    if (!begun && queue->messages > 0) {
      say(queue->messages, now);
      begun = true;
    }
    if (queue->messages >= messages) return say(queue->messages, now);
  }
}

void lone(const std::string& url, const std::string& queue, const std::string& database, int rows,
          const std::string& statement) {
  constexpr auto patience = 10s;
  amqp_probe broker(url);
  broker.consume(queue);
  pqxx::connection connection(database);
  std::string took;
  for (int n = 0; n < rows; ++n) {
    // Of a length that keeps no step with anybody's interval.
    constexpr double golden = 0.618;
    std::this_thread::sleep_for(100ms + 150ms * std::fmod(n * golden, 1.0));
    pqxx::work transaction(connection);
    transaction.exec(statement);
    transaction.commit();
    const auto committed = clock_type::now();
    const auto message = broker.next(patience);
    const std::chrono::duration<double, std::milli> passed = clock_type::now() - committed;
    if (!message)
      throw std::runtime_error("10 s and no message of lone row " + std::to_string(n + 1));
    broker.ack(message->delivery_tag);
    took += (n == 0 ? "" : ", ") + std::to_string(passed.count());
  }
  std::printf("[%s]\n", took.c_str());
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 4 && words[0] == "drain") {
    drain(words[1], words[2], static_cast<std::uint32_t>(std::stoul(words[3])));
  } else if (words.size() == 6 && words[0] == "lone") {
    lone(words[1], words[2], words[3], std::stoi(words[4]), words[5]);
  } else {
    throw std::runtime_error("usage: see the head of bench/relay_watch.cpp");
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "relay_watch: %s\n", error.what());
  return 1;
}
