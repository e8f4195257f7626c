// A store over PostgreSQL, and its answers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "outbox/pg_store.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/run_until.hpp"
#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;
using base::failure_kind;

// As of pg_dump: of what is sent or deleted from now on, nothing leaves the indexes while it lives.
class old_snapshot {
 public:
  explicit old_snapshot(outbox_database& db) : connection_(db.url()) {
    db.run("ALTER TABLE \"outbox\".messages SET (autovacuum_enabled = false)");
    transaction_.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    transaction_.exec("SELECT count(*) FROM \"outbox\".messages");
  }

 private:
  pqxx::connection connection_;
  pqxx::work transaction_{connection_};
};

class pg_store_test : public testing::Test {
 protected:
  std::unique_ptr<outbox::pg_store> store(std::string url = "", bool keep_dead_keys = false,
                                          std::chrono::milliseconds answer_within = 35s,
                                          std::chrono::milliseconds statement_timeout = 30s) {
    outbox::pg_options options;
    options.statement_timeout = statement_timeout;
    options.keep_dead_keys = keep_dead_keys;
    options.answer_within = answer_within;
    options.url = [url = url.empty() ? db_.url() : url] { return url; };
    options.on_query = [this](std::string_view operation, std::chrono::microseconds) {
      operations.emplace_back(operation);
    };
    options.on_reconnect = [this] { ++reconnects; };
    return std::make_unique<outbox::pg_store>(context_.get_executor(), std::move(options));
  }

  template <typename T, typename Call>
  base::result<T> answer_of(Call call) {
    std::optional<base::result<T>> answer;
    call([&answer](base::result<T> got) { answer.emplace(std::move(got)); });
    EXPECT_TRUE(run_until(context_, 30s, [&] { return answer.has_value(); }));
    return std::move(answer.value());
  }

  static outbox::read_request everything() {
    outbox::read_request request;
    request.limit = request.due_limit = 1000;
    request.inline_row_bytes = request.inline_total_bytes = 1 << 20;
    return request;
  }
  base::result<outbox::read_answer> read(outbox::pg_store& s,
                                         outbox::read_request request = everything()) {
    return answer_of<outbox::read_answer>([&](auto done) { s.read(request, done); });
  }
  base::result<outbox::settle_answer> settle(outbox::pg_store& s, outbox::row_ref ref) {
    return answer_of<outbox::settle_answer>([&](auto done) { s.settle({ref}, done); });
  }
  base::result<outbox::decide_answer> kill(outbox::pg_store& s, outbox::row_ref ref) {
    return answer_of<outbox::decide_answer>([&](auto done) {
      s.decide(0, {{ref, 0, outbox::fate::dead, {}, "refused"}}, done);
    });
  }
  static constexpr auto last_id = std::numeric_limits<std::int64_t>::max();
  base::result<outbox::backlog> measure(outbox::pg_store& s, std::int64_t from = 1) {
    return answer_of<outbox::backlog>([&](auto done) { s.measure({{from, last_id}}, done); });
  }

  void insert_rows(int count) {
    db_.run(
        "INSERT INTO \"outbox\".messages (routing_key, payload) SELECT 'q', '' FROM "
        "generate_series(1, " +
        std::to_string(count) + ")");
  }

  outbox::row_ref insert(const outbox::message& row) {
    pqxx::connection connection(db_.url());
    pqxx::work tx(connection);
    const auto ref = db_.insert(tx, row);
    tx.commit();
    return ref;
  }

  // An id that was drawn and is missing, seen by a store of its own: which looks at once at who may
  // still fill it.
  struct gap_of_one {
    explicit gap_of_one(pg_store_test& test) : test_(test), store_(test.store()) {
      const std::string draw = "SELECT nextval('\"outbox\".messages_id_seq')";
      request_.frontier = std::stoll(test.db_.value(draw));
      request_.gaps.push_back({request_.frontier + 1, std::stoll(test.db_.value(draw))});
      const auto behind = test.insert(text_row("behind"));
      bound = test.read(*store_, request_without_gaps()).value().snap.next_xid;
      request_.frontier = behind.id;
    }
    outbox::snapshot seen_again() const { return test_.read(*store_, request_).value().snap; }

    std::uint64_t bound = 0;

   private:
    outbox::read_request request_without_gaps() const {
      auto request = request_;
      request.gaps.clear();
      return request;
    }

    pg_store_test& test_;
    std::unique_ptr<outbox::pg_store> store_;
    outbox::read_request request_ = everything();
  };

  boost::asio::io_context context_;
  outbox_database db_;
  std::vector<std::string> operations;
  int reconnects = 0;
};

}  // namespace outboxd::tests
