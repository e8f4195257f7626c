#include "tests/support/memory_store.hpp"

#include "tests/support/store_contract.hpp"

namespace outboxd::tests {
namespace {

class memory_transaction final : public open_transaction {
 public:
  explicit memory_transaction(memory_store& store) : store_(store), id_(store.begin()) {}
  outbox::row_ref insert(const outbox::message& row) override { return store_.insert(id_, row); }
  void lock(std::int64_t id) override { store_.lock(id_, id); }
  void commit() override { store_.commit(id_); }
  void roll_back() override { store_.roll_back(id_); }

 private:
  memory_store& store_;
  memory_store::transaction id_;
};

std::string name_of(row_status status) {
  switch (status) {
    case row_status::pending:
      return "pending";
    case row_status::deferred:
      return "deferred";
    case row_status::sent:
      return "sent";
    case row_status::dead:
      return "dead";
  }
  return "?";
}

class memory_harness final : public store_harness {
 public:
  boost::asio::io_context& context() override { return context_; }
  outbox::store& subject() override { return store_; }
  void delete_on_ack() override { store_.set_delete_on_ack(true); }
  outbox::row_ref insert(const outbox::message& row,
                         std::optional<time_point> not_before) override {
    return store_.insert(row, not_before);
  }
  std::unique_ptr<open_transaction> begin() override {
    return std::make_unique<memory_transaction>(store_);
  }
  outbox::row_ref reissue(std::int64_t id) override { return store_.reissue(id); }
  void erase(std::int64_t id) override { store_.erase(id); }
  void replay(std::int64_t id) override { store_.replay(id); }
  time_point now() override { return store_.now(); }
  void grow_older(std::chrono::milliseconds by) override { store_.advance(by); }
  void pause(const outbox::pause_scope& scope, const std::string& reason,
             std::optional<std::chrono::milliseconds> lasting) override {
    store_.pause(scope, reason, lasting);
  }
  void resume(const outbox::pause_scope& scope) override { store_.resume(scope); }
  std::int64_t take_lead() override { return store_.take_lead(); }

  std::optional<row_state> find(std::int64_t id) override {
    const auto* row = store_.find(id);
    if (row == nullptr) return std::nullopt;
    return row_state{row->data.ref.message_id, name_of(row->status),
                     row->data.attempts,       row->failing_since.has_value(),
                     row->due_at.has_value(),  row->sent_at.has_value(),
                     row->last_error};
  }

 private:
  boost::asio::io_context context_;
  memory_store store_{context_.get_executor()};
};

INSTANTIATE_TEST_SUITE_P(memory, store_contract,
                         testing::Values([]() -> std::unique_ptr<store_harness> {
                           return std::make_unique<memory_harness>();
                         }));

class memory_store_faults : public testing::Test {
 protected:
  base::result<outbox::settle_answer> settle(outbox::row_ref ref) {
    std::optional<base::result<outbox::settle_answer>> answer;
    store_.settle({ref}, [&](base::result<outbox::settle_answer> got) { answer = std::move(got); });
    context_.restart();
    context_.run();
    return answer.value();
  }

  boost::asio::io_context context_;
  memory_store store_{context_.get_executor()};
};

TEST_F(memory_store_faults, a_planned_failure_happens_once) {
  const auto ref = store_.insert(text_row("a"));
  store_.fail_next("settle", {base::failure_kind::unavailable, "away"});
  EXPECT_EQ(settle(ref).error().text, "away");
  EXPECT_EQ(store_.count(row_status::pending), 1u);
  EXPECT_EQ(settle(ref).value().changed, 1u);
  EXPECT_EQ(store_.calls("settle"), 2u);
}

TEST_F(memory_store_faults, a_failure_in_doubt_may_have_taken_effect) {
  const auto ref = store_.insert(text_row("a"));
  store_.fail_next("settle", {base::failure_kind::unavailable, "away"}, memory_store::effect::done);
  EXPECT_FALSE(settle(ref).has_value());
  EXPECT_EQ(store_.count(row_status::sent), 1u);
}

TEST_F(memory_store_faults, an_answer_held_back_is_as_old_as_its_call) {
  std::optional<std::size_t> rows;
  store_.hold_answers();
  outbox::read_request request;
  request.limit = 10;
  store_.read(request,
              [&](base::result<outbox::read_answer> got) { rows = got.value().rows.size(); });
  store_.insert(text_row("a"));
  context_.run();
  EXPECT_FALSE(rows.has_value());
  store_.release_answers();
  context_.restart();
  context_.run();
  EXPECT_EQ(rows, 0u);
}

}  // namespace
}  // namespace outboxd::tests
