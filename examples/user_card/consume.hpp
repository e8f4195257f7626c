// The consuming half of a service: message, transaction, ack, in this order, for ever. Reconnects
// to both the broker and the database; returns when asked to stop, after the message in hand.
#pragma once

#include "examples/user_card/amqp_consumer.hpp"

#include <pqxx/pqxx>

#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>

namespace user_card {

// This message can never be handled, whoever tries: it belongs into the dead-letter queue.
class malformed : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct source {
  std::string amqp_url;
  std::string queue;
  std::string database_url;
  std::string service;  // names the connection on the broker's management page
};

// Handles one message in one transaction of its own, and says in a few words what it did.
using handler = std::function<std::string(pqxx::connection&, const delivery&)>;

void consume(const std::stop_token& stop, const source& from, const handler& handle);

// True the first time this message is seen. Part of the caller's transaction: the message counts
// as seen if, and only if, what it caused is committed.
bool first_time(pqxx::transaction_base& tx, const delivery& message);

}  // namespace user_card
