#include "tests/chaos/writers.hpp"

#include "tests/chaos/body.hpp"
#include "tests/support/eventually.hpp"

#include <stdexcept>

namespace outboxd::chaos {
namespace {

using namespace std::chrono_literals;

constexpr const char* application = "chaos-writer";
constexpr double rows_per_transaction = 7;  // on average

std::string connection_string(const std::string& url) {
  const char* sign = url.find('?') == std::string::npos ? "?" : "&";
  return url + sign + "connect_timeout=5&application_name=" + application;
}

// Now and then many at once, so that the window is full and a backlog waits.
std::int64_t choose_rows(luck& chance) {
  if (chance.one_in(100)) return 300;
  return chance.one_in(8) ? chance.between(1, 20) : chance.between(1, 5);
}

std::string or_null(pqxx::transaction_base& tx, const std::optional<std::string>& text) {
  return text && !text->empty() ? tx.quote(*text) : "NULL";
}

std::string body_literal(pqxx::transaction_base& tx, const new_row& row) {
  return row.binary ? "decode('" + hex(row.body) + "', 'hex')" : tx.quote(row.body);
}

std::string insert_statement(pqxx::transaction_base& tx, const new_row& row,
                             const std::string& not_before) {
  return "INSERT INTO outbox.messages (exchange, routing_key, ordering_key, headers, not_before, " +
         std::string(row.binary ? "payload_bytes" : "payload") + ") VALUES (" +
         tx.quote(row.exchange) + ", " + tx.quote(row.routing_key) + ", " + or_null(tx, row.key) +
         ", " + or_null(tx, row.headers) + ", " + not_before + ", " + body_literal(tx, row) +
         ") RETURNING id, message_id";
}

// The function gives back the id only, so the message_id is drawn before.
std::string publish_statement(pqxx::transaction_base& tx, const new_row& row,
                              const std::string& not_before) {
  return "SELECT outbox.publish(" + tx.quote(row.exchange) + ", " + tx.quote(row.routing_key) +
         ", " + body_literal(tx, row) + (row.binary ? "" : "::text") + ", ordering_key => " +
         or_null(tx, row.key) + ", headers => " + or_null(tx, row.headers) + ", not_before => " +
         not_before + ", message_id => drawn, serialize => true), drawn " +
         "FROM (SELECT gen_random_uuid() AS drawn OFFSET 0) AS new";
}

}  // namespace

writers::writers(writer_options chosen, const timeline& clock)
    : options_(std::move(chosen)), clock_(clock) {
  pqxx::connection database(options_.database_url);
  pqxx::nontransaction(database).exec(
      "CREATE TABLE ledger (writer int, transaction bigint, PRIMARY KEY (writer, transaction))");
  for (int i = 0; i < options_.count; ++i) {
    const auto stream = 100 + static_cast<std::uint64_t>(i);
    writer& me = all_.emplace_back(
        writer{.number = i, .chance = {options_.seed, stream}, .maker = {i, options_.limits}});
    me.thread = std::thread([this, &me] { run(me); });
  }
}

writers::~writers() {
  for (writer& me : all_) {
    if (me.thread.joinable()) me.thread.join();
  }
}

void writers::run(writer& me) {
  while (!clock_.over()) {
    try {
      write_until_disturbed(me);
    } catch (const std::exception&) {
      clock_.pause(100ms);  // the database is away; what was written to it is in the ledger or not
    }
  }
}

void writers::write_until_disturbed(writer& me) {
  pqxx::connection database(connection_string(options_.database_url));
  const double transactions = options_.rows_per_second / rows_per_transaction / options_.count;
  const auto longest_pause = static_cast<std::int64_t>(2'000 / transactions);
  while (clock_.pause(moment(me.chance.between(0, longest_pause)))) write_one(me, database);
}

void writers::write_one(writer& me, pqxx::connection& database) {
  luck& chance = me.chance;
  const std::size_t first = me.attempts.size();
  const std::int64_t number = ++me.transaction;
  const bool asynchronous = me.number == options_.count - 1;
  const std::string shared_key =
      chance.one_in(4) ? "shared-" + std::to_string(chance.between(0, 4)) : "";

  pqxx::work tx(database);
  if (asynchronous) tx.exec("SET LOCAL synchronous_commit = off");
  tx.exec("INSERT INTO ledger VALUES (" + std::to_string(me.number) + ", " +
          std::to_string(number) + ")");
  for (std::int64_t i = choose_rows(chance); i > 0; --i)
    me.attempts.push_back(insert(me, tx, shared_key));
  if (chance.one_in(8)) {
    tx.exec("SAVEPOINT before");
    const std::size_t undone = me.attempts.size();
    me.attempts.push_back(insert(me, tx, shared_key));
    tx.exec("ROLLBACK TO SAVEPOINT before");
    me.attempts[undone].undone = true;
    if (chance.one_in(2)) me.attempts.push_back(insert(me, tx, shared_key));
  }
  if (chance.one_in(15)) clock_.pause(moment(chance.between(50, 3'000)));
  if (chance.one_in(5)) {
    tx.abort();
    return;
  }
  for (std::size_t i = first; i < me.attempts.size(); ++i)
    me.attempts[i].forgettable = asynchronous;
  try {
    tx.commit();
  } catch (const std::exception&) {
    ++in_doubt_;
    throw;
  }
}

writers::attempt writers::insert(writer& me, pqxx::transaction_base& tx,
                                 const std::string& shared_key) {
  const std::string name = std::to_string(me.number) + "-" + std::to_string(me.transaction) + "-" +
                           std::to_string(me.attempts.size());
  const new_row row = me.maker.make(me.chance, shared_key, name);
  attempt made{.transaction = me.transaction,
               .row = {.key = row.key,
                       .queues = row.queues,
                       .body_hash = hash_of(row.body),
                       .body_size = row.body.size(),
                       .bad = row.bad}};
  std::string not_before = "NULL";
  if (row.scheduled_in) {
    made.row.not_before = clock_.now() + *row.scheduled_in;
    const auto since_epoch = (clock_.start() + *made.row.not_before).time_since_epoch();
    not_before = "to_timestamp(" + std::to_string(std::chrono::ceil<moment>(since_epoch).count()) +
                 " / 1000.0)";
  }
  const auto answer = tx.exec(row.serialize ? publish_statement(tx, row, not_before)
                                            : insert_statement(tx, row, not_before));
  made.row.id = answer[0][0].as<std::int64_t>();
  made.row.message_id = answer[0][1].c_str();
  made.row.at = clock_.now();
  ++rows_;
  return made;
}

// Of a server that may still be rolling back what a lost connection has left.
std::set<std::pair<int, std::int64_t>> writers::ledger() {
  pqxx::connection database(options_.database_url);
  pqxx::nontransaction tx(database);
  const bool alone = tests::eventually(30s, [&] {
    return tx
        .exec("SELECT FROM pg_stat_activity WHERE application_name = '" + std::string(application) +
              "'")
        .empty();
  });
  if (!alone) throw std::runtime_error("the writers' sessions do not end");
  std::set<std::pair<int, std::int64_t>> entries;
  for (const auto& row : tx.exec("SELECT writer, transaction FROM ledger"))
    entries.emplace(row[0].as<int>(), row[1].as<std::int64_t>());
  return entries;
}

std::vector<written_row> writers::finish() {
  for (writer& me : all_) me.thread.join();
  const auto committed = ledger();
  std::vector<written_row> all;
  for (writer& me : all_) {
    for (attempt& made : me.attempts) {
      written_row& row = all.emplace_back(std::move(made.row));
      if (made.undone) {
        row.outcome = fate::rolled_back;
      } else if (committed.contains({me.number, made.transaction})) {
        row.outcome = fate::committed;
      } else {
        row.outcome = made.forgettable ? fate::forgotten : fate::rolled_back;
      }
    }
  }
  return all;
}

}  // namespace outboxd::chaos
