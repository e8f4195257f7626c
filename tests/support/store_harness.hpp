// What the contract suite needs of a store's surroundings: writers, a clock that can be moved, a
// look behind the scenes.
#pragma once

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "outbox/store.hpp"

namespace outboxd::tests {

using time_point = std::chrono::system_clock::time_point;

struct row_state {
  boost::uuids::uuid message_id{};
  std::string status;
  int attempts = 0;
  bool failing = false;
  bool has_due_at = false;
  bool has_sent_at = false;
  std::string last_error;
};

// A writer's transaction that stays open. It has its transaction id from the start.
class open_transaction {
 public:
  virtual ~open_transaction() = default;
  virtual outbox::row_ref insert(const outbox::message& row) = 0;
  virtual void lock(std::int64_t id) = 0;  // the row, until its end
  virtual void commit() = 0;
  virtual void roll_back() = 0;
};

class store_harness {
 public:
  virtual ~store_harness() = default;

  // Answers come through here.
  virtual boost::asio::io_context& context() = 0;
  virtual outbox::store& subject() = 0;
  virtual void delete_on_ack() = 0;  // from now on; subject() may be another one afterwards

  // Of the message everything counts but ref, created_at, age and attempts.
  virtual outbox::row_ref insert(const outbox::message& row,
                                 std::optional<time_point> not_before = {}) = 0;
  virtual std::unique_ptr<open_transaction> begin() = 0;
  virtual outbox::row_ref reissue(std::int64_t id) = 0;  // another row under the same id
  virtual void erase(std::int64_t id) = 0;
  virtual void replay(std::int64_t id) = 0;  // one that was sent, as an operator does

  virtual time_point now() = 0;
  // As if so much time had passed for every row there is.
  virtual void grow_older(std::chrono::milliseconds by) = 0;

  virtual void pause(const outbox::pause_scope& scope, const std::string& reason,
                     std::optional<std::chrono::milliseconds> lasting = {}) = 0;
  virtual void resume(const outbox::pause_scope& scope) = 0;

  virtual std::int64_t take_lead() = 0;  // answers with the new epoch
  virtual std::optional<row_state> find(std::int64_t id) = 0;
};

using harness_factory = std::function<std::unique_ptr<store_harness>()>;

}  // namespace outboxd::tests
