#include "tests/chaos/consumers.hpp"

#include "tests/chaos/body.hpp"
#include "tests/support/amqp_probe.hpp"

#include <iterator>

namespace outboxd::chaos {
namespace {

using namespace std::chrono_literals;

delivery record(const std::string& queue, const tests::amqp_message& message, moment now) {
  delivery d{.queue = queue,
             .message_id = message.properties.message_id.value_or("none"),
             .redelivered = message.redelivered,
             .body_hash = hash_of(message.body),
             .at = now};
  const auto id = message.header("x-outbox-id");
  if (id && id->type == 'l') d.id = std::get<std::int64_t>(id->value);
  if (const auto key = message.header("x-outbox-key")) d.key = std::get<std::string>(key->value);
  return d;
}

}  // namespace

consumers::consumers(std::vector<std::string> amqp_urls, const std::vector<std::string>& queues,
                     const timeline& clock)
    : amqp_urls_(std::move(amqp_urls)), clock_(clock) {
  for (const std::string& queue : queues) {
    consumer& me = all_.emplace_back();
    me.queue = queue;
    me.thread = std::thread([this, &me] { run(me); });
  }
}

consumers::~consumers() {
  finish();
}

void consumers::pause(const std::string& queue, bool paused) {
  for (consumer& each : all_) {
    if (each.queue == queue) each.paused = paused;
  }
}

std::size_t consumers::received() const {
  std::size_t count = 0;
  for (const consumer& each : all_) count += each.count;
  return count;
}

std::vector<delivery> consumers::finish() {
  ending_ = true;
  std::vector<delivery> all;
  for (consumer& each : all_) {
    if (each.thread.joinable()) each.thread.join();
    std::ranges::move(each.got, std::back_inserter(all));
    each.got.clear();
  }
  return all;
}

void consumers::run(consumer& me) {
  std::size_t turn = 0;
  while (!ending_) {
    try {
      if (!me.paused) receive(me, amqp_urls_[turn % amqp_urls_.size()]);
    } catch (const tests::amqp_error&) {
      ++turn;  // the broker is away, or the queue is
    }
    std::this_thread::sleep_for(50ms);
  }
}

void consumers::receive(consumer& me, const std::string& amqp_url) {
  tests::amqp_probe broker(amqp_url);
  broker.consume(me.queue, prefetch);
  while (!ending_ && !me.paused) {
    const auto message = broker.next(100ms);
    if (!message) continue;
    me.got.push_back(record(me.queue, *message, clock_.now()));
    ++me.count;
    broker.ack(message->delivery_tag);
  }
}

}  // namespace outboxd::chaos
