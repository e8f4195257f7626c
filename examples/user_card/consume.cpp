#include "examples/user_card/consume.hpp"

#include "examples/user_card/service.hpp"

namespace user_card {
namespace {

constexpr std::uint16_t prefetch = 20;

std::string describe(const delivery& message) {
  return message.key.empty() ? "message " + message.message_id
                             : message.type + " of user " + message.key;
}

std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

// The data are wrong (class 22) or break a constraint (class 23): no second try can mend it.
// Anything else the database may get over: a restart, a lock, a full disk, a trigger that raises.
bool is_permanent(const pqxx::sql_error& error) {
  return error.sqlstate().starts_with("22") || error.sqlstate().starts_with("23");
}

// Every way to fail that may pass leaves by an exception. The message is then not acked.
void handle_one(amqp_consumer& consumer, pqxx::connection& db, const delivery& message,
                const handler& handle) {
  const auto reject = [&](const std::exception& why) {
    consumer.reject(message);
    say("rejected ", describe(message), ": ", first_line(why));
  };
  try {
    if (message.message_id.empty()) throw malformed("it has no message_id");
    const std::string done = handle(db, message);
    consumer.ack(message);
    say(done, ", acked");
  } catch (const malformed& why) {
    reject(why);
  } catch (const pqxx::broken_connection&) {
    say("requeued ", describe(message), ": database is away");
    throw;
  } catch (const pqxx::sql_error& why) {
    if (is_permanent(why)) return reject(why);
    say("requeued ", describe(message), ": ", first_line(why));
    throw;
  }
}

}  // namespace

// A failure ends both connections. The broker then takes back this message and all those that were
// delivered ahead, each to its old place. Requeueing the one message alone would let the later
// ones of the same user overtake it.
void consume(const std::stop_token& stop, const source& from, const handler& handle) {
  growing_pause before_next_try;
  while (!stop.stop_requested()) {
    try {
      pqxx::connection db(from.database_url);
      amqp_consumer consumer(from.amqp_url, from.queue, prefetch, from.service);
      say("consuming ", from.queue);
      while (!stop.stop_requested()) {
        const auto message = consumer.next(std::chrono::milliseconds(200));
        if (!message) continue;
        handle_one(consumer, db, *message, handle);
        before_next_try.succeeded();
      }
    } catch (const std::exception& error) {
      const auto wait = before_next_try.next();
      say(from.queue, ": ", first_line(error), "; next try in ", wait.count(), " ms");
      pause(stop, wait);
    }
  }
}

bool first_time(pqxx::transaction_base& tx, const delivery& message) {
  const auto row = tx.exec_params1(
      "INSERT INTO inbox (message_id) VALUES ($1) "
      "ON CONFLICT (message_id) DO UPDATE SET duplicates = inbox.duplicates + 1 "
      "RETURNING duplicates = 0",
      message.message_id);
  return row[0].as<bool>();
}

}  // namespace user_card
