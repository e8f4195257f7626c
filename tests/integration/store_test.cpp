#include "outbox/pg_store.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/lexical_cast.hpp>

#include "outbox/pqxx_compat.hpp"
#include "outbox/schema.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/store_contract.hpp"

namespace outboxd::tests {
namespace {

class pg_transaction final : public open_transaction {
 public:
  explicit pg_transaction(outbox_database& db) : db_(db), connection_(db.url()), tx_(connection_) {
    tx_.exec("SELECT pg_current_xact_id()");
  }
  outbox::row_ref insert(const outbox::message& row) override { return db_.insert(tx_, row); }
  void lock(std::int64_t id) override {
    outbox::schema_names names;
    names.schema = db_.schema();
    tx_.exec(outbox::fill_in("SELECT FROM \"outbox\".messages WHERE id = ", names) +
             std::to_string(id) + " FOR UPDATE");
  }
  void commit() override { tx_.commit(); }
  void roll_back() override { tx_.abort(); }

 private:
  outbox_database& db_;
  pqxx::connection connection_;
  pqxx::work tx_;
};

class pg_harness final : public store_harness {
 public:
  boost::asio::io_context& context() override { return context_; }
  outbox::store& subject() override { return *store_; }
  void delete_on_ack() override { store_ = make(true); }

  outbox::row_ref insert(const outbox::message& row,
                         std::optional<time_point> not_before) override {
    pqxx::connection connection(db_.url());
    pqxx::work tx(connection);
    const auto ref = db_.insert(tx, row, not_before);
    tx.commit();
    return ref;
  }
  std::unique_ptr<open_transaction> begin() override {
    return std::make_unique<pg_transaction>(db_);
  }

  outbox::row_ref reissue(std::int64_t id) override {
    const auto row = std::to_string(id);
    db_.run("DELETE FROM \"outbox\".messages WHERE id = " + row);
    return {id, boost::lexical_cast<boost::uuids::uuid>(db_.value(
                    "INSERT INTO \"outbox\".messages (id, routing_key, payload) VALUES (" + row +
                    ", 'q', 'another') RETURNING message_id"))};
  }
  void erase(std::int64_t id) override {
    db_.run("DELETE FROM \"outbox\".messages WHERE id = " + std::to_string(id));
  }

  void replay(std::int64_t id) override {
    db_.run("SELECT \"outbox\".replay_where(id => " + std::to_string(id) + ")");
  }

  time_point now() override { return std::chrono::system_clock::now(); }
  void grow_older(std::chrono::milliseconds by) override {
    const auto ago = " - interval '" + std::to_string(by.count()) + " ms'";
    db_.run("UPDATE \"outbox\".messages SET created_at = created_at" + ago +
            ", not_before = not_before" + ago + ", due_at = due_at" + ago +
            ", failing_since = failing_since" + ago + ", sent_at = sent_at" + ago);
    db_.run("UPDATE \"outbox\".pauses SET paused_at = paused_at" + ago + ", ends_at = ends_at" +
            ago);
  }
  void pause(const outbox::pause_scope& scope, const std::string& reason,
             std::optional<std::chrono::milliseconds> lasting) override {
    pqxx::connection connection(db_.url());
    pqxx::work tx(connection);
    const std::string end =
        lasting ? "interval '" + std::to_string(lasting->count()) + " ms'" : "NULL";
    tx.exec(outbox::fill_in("SELECT \"outbox\".pause(", names()) + tx.quote(scope.exchange) + ", " +
            tx.quote(scope.ordering_key) + ", " + end + ", " + tx.quote(reason) + ")");
    tx.commit();
  }
  void resume(const outbox::pause_scope& scope) override {
    pqxx::connection connection(db_.url());
    pqxx::work tx(connection);
    tx.exec(outbox::fill_in("SELECT \"outbox\".resume(", names()) + tx.quote(scope.exchange) +
            ", " + tx.quote(scope.ordering_key) + ")");
    tx.commit();
  }

  std::int64_t take_lead() override {
    return std::stoll(db_.value("UPDATE \"outbox\".lead SET epoch = epoch + 1 RETURNING epoch"));
  }
  std::optional<row_state> find(std::int64_t id) override {
    const auto rows = db_.run(
        "SELECT message_id, status, attempts, failing_since IS NOT NULL, due_at IS NOT NULL,"
        " sent_at IS NOT NULL, coalesce(last_error, '') FROM \"outbox\".messages WHERE id = " +
        std::to_string(id));
    if (rows.empty()) return std::nullopt;
    const auto r = rows[0];
    return row_state{boost::lexical_cast<boost::uuids::uuid>(r[0].c_str()),
                     r[1].c_str(),
                     r[2].as<int>(),
                     r[3].as<bool>(),
                     r[4].as<bool>(),
                     r[5].as<bool>(),
                     r[6].c_str()};
  }

 private:
  outbox::schema_names names() const {
    outbox::schema_names names;
    names.schema = db_.schema();
    return names;
  }
  std::unique_ptr<outbox::pg_store> make(bool delete_on_ack) {
    outbox::pg_options options;
    options.url = [url = db_.url()] { return url; };
    options.schema = db_.schema();
    options.delete_on_ack = delete_on_ack;
    return std::make_unique<outbox::pg_store>(context_.get_executor(), std::move(options));
  }

  outbox_database db_{"my outbox"};  // a name that needs its quotes
  boost::asio::io_context context_;
  std::unique_ptr<outbox::pg_store> store_ = make(false);
};

INSTANTIATE_TEST_SUITE_P(postgresql, store_contract,
                         testing::Values([]() -> std::unique_ptr<store_harness> {
                           return std::make_unique<pg_harness>();
                         }));

}  // namespace
}  // namespace outboxd::tests
