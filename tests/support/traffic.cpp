#include "tests/support/traffic.hpp"

#include <pqxx/pqxx>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <stdexcept>
#include <utility>

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;

// Enough to keep a relay busy, little enough for several tests on one machine.
constexpr auto pause_between_transactions = 1ms;
constexpr auto pause_after_failure = 20ms;

}  // namespace

writers::writers(std::string url, unsigned count) : url_(std::move(url)) {
  for (unsigned number = 0; number < count; ++number)
    threads_.emplace_back([this, number] { run(number); });
}

writers::~writers() {
  stop();
}

void writers::stop() {
  writing_ = false;
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void writers::forget(const std::vector<std::string>& bodies) {
  const std::lock_guard lock(mutex_);
  rolled_back_.insert(bodies.begin(), bodies.end());
}

void writers::run(unsigned number) {
  std::mt19937 engine(number);
  const std::string name = "w" + std::to_string(number);
  std::optional<pqxx::connection> connection;
  int last = 0;
  while (writing_) {
    std::vector<std::string> kept, undone;
    bool committing = false;
    try {
      if (!connection) connection.emplace(url_);
      pqxx::work tx(*connection);
      const auto insert = [&](std::vector<std::string>& into) {
        into.push_back(name + "-" + std::to_string(++last));
        const auto key = engine() % 4;
        tx.exec("INSERT INTO outbox.messages (routing_key, ordering_key, payload) VALUES ('q', " +
                (key == 0 ? "NULL" : "'" + name + "-k" + std::to_string(key) + "'") + ", '" +
                into.back() + "')");
      };
      for (auto rows = 1 + engine() % 3; rows > 0; --rows) insert(kept);
      if (engine() % 8 == 0) {
        tx.exec("SAVEPOINT s");
        insert(undone);
        tx.exec("ROLLBACK TO s");
      }
      if (engine() % 6 == 0) {
        tx.abort();
        forget(kept);
      } else {
        committing = true;
        tx.commit();
        ++committed_;
      }
      std::this_thread::sleep_for(pause_between_transactions);
    } catch (const std::exception&) {
      // After COMMIT was sent nobody can tell; before it, the row cannot be there.
      if (!committing) forget(kept);
      connection.reset();
      std::this_thread::sleep_for(pause_after_failure);
    }
    forget(undone);
  }
}

void deliveries::take_all(amqp_probe& broker, const std::string& queue) {
  while (const auto m = broker.get(queue)) note(*m);
}

void deliveries::consume_all(const std::string& amqp_url, const std::string& queue) {
  constexpr std::uint32_t acknowledged_at_once = 500;
  {
    amqp_probe consumer(amqp_url);
    const std::uint32_t there = consumer.queue(queue).value().messages;
    consumer.consume(queue, 4 * acknowledged_at_once);
    for (std::uint32_t n = 1; n <= there; ++n) {
      const auto m = consumer.next(std::chrono::seconds(30));
      if (!m) throw std::runtime_error(queue + " holds fewer messages than it says");
      note(*m);
      if (n % acknowledged_at_once == 0 || n == there) consumer.ack(m->delivery_tag, true);
    }
  }
  amqp_probe rest(amqp_url);  // the number may have been that of a moment before
  take_all(rest, queue);
}

void deliveries::note(const amqp_message& m) {
  const auto id = std::get<std::int64_t>(m.header("x-outbox-id").value().value);
  const auto [first, is_new] = rows.emplace(m.properties.message_id.value(), row{id, m.body});
  if (!is_new) {
    ++duplicates;
    if (first->second.body != m.body) two_bodies.push_back(first->second.body + " and " + m.body);
    return;
  }
  const auto key = m.header("x-outbox-key");
  if (!key) return;
  auto& last = last_of_key_[std::get<std::string>(key->value)];
  if (id < last) out_of_order.push_back(m.body + " behind " + std::to_string(last));
  last = std::max(last, id);
}

}  // namespace outboxd::tests
