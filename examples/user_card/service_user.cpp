// service_user stores users, tells of them on user_queue, and learns of their cards on card_queue.
//
// It never talks to the broker about a user: it writes the user and the event in one transaction,
// and outboxd, running beside it, publishes the event once that transaction has committed.

#include "examples/user_card/consume.hpp"
#include "examples/user_card/service.hpp"

#include <boost/json.hpp>
#include <pqxx/pqxx>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <random>
#include <string>

namespace {

using namespace user_card;
using std::chrono::steady_clock;

// --- what it tells ----------------------------------------------------------------------------

// The event goes into the outbox with the change that it tells of: both are committed, or neither.
void tell(pqxx::transaction_base& tx, const std::string& type, std::int64_t id) {
  tx.exec_params0(
      "INSERT INTO outbox.messages (routing_key, type, ordering_key, payload) "
      "SELECT 'user_queue', $1, id::text, "
      "       json_build_object('id', id, 'name', name, 'version', version)::text "
      "FROM users WHERE id = $2",
      type, id);
}

std::int64_t create_user(pqxx::transaction_base& tx, const std::string& name) {
  const auto id = tx.exec_params1("INSERT INTO users (name) VALUES ($1) RETURNING id", name)[0]
                      .as<std::int64_t>();
  tell(tx, "user.created", id);
  return id;
}

// The UPDATE locks the user, so that of two writers the second draws its outbox id later.
void rename_user(pqxx::transaction_base& tx, std::int64_t id, const std::string& name) {
  tx.exec_params0("UPDATE users SET name = $2, version = version + 1 WHERE id = $1", id, name);
  tell(tx, "user.renamed", id);
}

// --- what it hears ----------------------------------------------------------------------------

struct card {
  std::int64_t id;
  std::int64_t user_id;
};

card parse_card(const std::string& body) {
  try {
    const auto json = boost::json::parse(body);
    return {json.at("id").to_number<std::int64_t>(), json.at("user_id").to_number<std::int64_t>()};
  } catch (const std::exception& error) {
    throw malformed(error.what());
  }
}

std::string store_card(pqxx::connection& db, const delivery& message) {
  const card heard = parse_card(message.body);
  const std::string what =
      "card " + std::to_string(heard.id) + " of user " + std::to_string(heard.user_id);
  say("processing ", what);

  pqxx::work tx(db);
  if (!first_time(tx, message)) {
    tx.commit();
    return "seen before: " + what;
  }
  tx.exec_params0("INSERT INTO cards (id, user_id) VALUES ($1, $2)", heard.id, heard.user_id);
  tx.commit();
  return "saved " + what;
}

// --- a crowd that signs up: a tenth change their mind, a third of the rest change their name ----

class crowd {
 public:
  crowd(std::string database_url, std::int64_t size, double per_second, unsigned seed)
      : database_url_(std::move(database_url)),
        size_(size),
        interval_(std::chrono::duration_cast<steady_clock::duration>(
            std::chrono::duration<double>(1 / per_second))),
        luck_(seed) {}

  // Signs up users at the rate asked for until so many are stored, whatever happens meanwhile.
  void run(const std::stop_token& stop) {
    growing_pause before_next_try;
    bool complete = false;
    while (!complete && !stop.stop_requested()) {
      try {
        pqxx::connection db(database_url_);
        complete = sign_up_all(stop, db);
        before_next_try.succeeded();
      } catch (const std::exception& error) {
        say("sign-up failed: ", error.what());
        pause(stop, before_next_try.next());
      }
    }
  }

 private:
  bool sign_up_all(const std::stop_token& stop, pqxx::connection& db) {
    auto stored = count_users(db);
    auto next = steady_clock::now();
    while (stored < size_ && !stop.stop_requested()) {
      if (sign_up(db)) ++stored;
      next += interval_;
      pause(stop, std::chrono::ceil<std::chrono::milliseconds>(next - steady_clock::now()));
    }
    return stored >= size_;
  }

  static std::int64_t count_users(pqxx::connection& db) {
    pqxx::work tx(db);
    return tx.exec1("SELECT count(*) FROM users")[0].as<std::int64_t>();
  }

  bool sign_up(pqxx::connection& db) {
    const auto name = new_name();
    std::int64_t id = 0;
    {
      pqxx::work tx(db);
      id = create_user(tx, name);
      if (!finish(tx, id, name)) return false;
    }
    say("stored user ", id, " (", name, ")");
    while (one_in(3)) {
      const auto other_name = new_name();
      pqxx::work tx(db);
      rename_user(tx, id, other_name);
      if (finish(tx, id, other_name)) say("renamed user ", id, " to ", other_name);
    }
    return true;
  }

  // Commits, or rolls back in one case of ten. Said before it is done, so that the list of what
  // must never be heard of outlives a crash in between.
  bool finish(pqxx::work& tx, std::int64_t id, const std::string& name) {
    if (one_in(10)) {
      say("rolling back user ", id, " (", name, ")");
      tx.abort();
      return false;
    }
    tx.commit();
    return true;
  }

  // Never the same twice: a name proves which transaction a message came from.
  std::string new_name() {
    static constexpr const char* first[] = {"ada", "barbara", "edsger", "grace", "leslie", "tony"};
    std::ostringstream name;
    name << first[luck_() % std::size(first)] << '-' << std::hex << std::random_device{}();
    name << std::random_device{}();
    return name.str();
  }

  bool one_in(unsigned n) { return luck_() % n == 0; }

  const std::string database_url_;
  const std::int64_t size_;
  const steady_clock::duration interval_;
  std::mt19937 luck_;
};

}  // namespace

int main() try {
  const auto database_url = setting("DATABASE_URL");
  const source cards{setting("AMQP_URL"), "card_queue", database_url, "service_user"};
  crowd users(database_url, std::stoll(setting("USERS", "1000")), std::stod(setting("RATE", "50")),
              static_cast<unsigned>(std::stoul(setting("SEED", "1"))));
  run_until_signal({[&](const std::stop_token& stop) { users.run(stop); },
                    [&](const std::stop_token& stop) { consume(stop, cards, store_card); }});
} catch (const std::exception& error) {
  std::cerr << "service_user: " << error.what() << '\n';
  return 1;
}
