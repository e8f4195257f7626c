#include "tests/support/queue_contents.hpp"

#include "tests/support/amqp_probe.hpp"

#include <sstream>
#include <stdexcept>

namespace outboxd::tests {

queue_contents take_all(const std::string& amqp_url, const std::string& queue) {
  amqp_probe broker(amqp_url);
  queue_contents found;
  std::set<std::string> seen;
  std::map<std::string, std::int64_t> last_of_key;
  const auto messages = broker.queue(queue).value().messages;
  broker.consume(queue);
  for (std::uint32_t n = 0; n < messages; ++n) {
    const auto m = broker.next(std::chrono::seconds(30));
    if (!m) throw std::runtime_error(queue + " holds fewer messages than it says");
    // A quorum queue hands out no more than some thousands without an acknowledgement.
    if ((n + 1) % 500 == 0 || n + 1 == messages) broker.ack(m->delivery_tag, true);
    if (!seen.insert(m->properties.message_id.value()).second) {
      ++found.duplicates;
      continue;
    }
    const auto id = std::get<std::int64_t>(m->header("x-outbox-id").value().value);
    found.ids.push_back(id);
    const auto key = m->header("x-outbox-key");
    if (!key) continue;
    const auto& name = std::get<std::string>(key->value);
    auto& before = last_of_key[name];
    if (id < before) {
      std::ostringstream what;
      what << queue << ' ' << name << ": " << id << " after " << before;
      found.out_of_order.push_back(what.str());
    }
    before = id;
  }
  return found;
}

}  // namespace outboxd::tests
