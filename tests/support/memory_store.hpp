// The store in memory, for tests of what stands above it: the same contract as over PostgreSQL, a
// clock that moves when told, transactions that commit late, failures on demand. One thread. A
// statement takes effect when it is called; its answer is posted, or held back.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "outbox/store.hpp"

namespace outboxd::tests {

enum class row_status { pending, deferred, sent, dead };

struct memory_row {
  outbox::message data;
  row_status status = row_status::pending;
  std::optional<std::chrono::system_clock::time_point> not_before, due_at, failing_since, sent_at;
  std::string last_error;
  std::uint64_t written_by = 0;  // transaction id
};

class memory_store final : public outbox::store {
 public:
  using time_point = std::chrono::system_clock::time_point;

  explicit memory_store(boost::asio::any_io_executor executor);

  // --- the service's side. Of the message everything counts but ref, created_at, age and attempts.
  outbox::row_ref insert(outbox::message data, std::optional<time_point> not_before = {});

  using transaction = std::uint64_t;
  transaction begin();  // draws the transaction id
  outbox::row_ref insert(transaction by, outbox::message data,
                         std::optional<time_point> not_before = {});
  void lock(transaction by, std::int64_t id) { locks_[id] = by; }
  void commit(transaction t);
  void roll_back(transaction t);

  // --- the world
  time_point now() const { return now_; }
  void advance(std::chrono::milliseconds by) { now_ += by; }
  const memory_row* find(std::int64_t id) const;  // null: no such row, or not committed
  std::size_t count(row_status status) const;
  std::int64_t take_lead() { return ++epoch_; }
  // Another row under the same id, as after a crash of the database.
  outbox::row_ref reissue(std::int64_t id);
  void erase(std::int64_t id) { rows_.erase(id); }
  void replay(std::int64_t id);  // one that was sent, as an operator does
  void set_delete_on_ack(bool on) { delete_on_ack_ = on; }
  void pause(const outbox::pause_scope& scope, const std::string& reason,
             std::optional<std::chrono::milliseconds> lasting = {}) {
    resume(scope);
    pauses_.push_back({scope, reason, now_, std::nullopt});
    if (lasting) pauses_.back().ends_at = now_ + *lasting;
  }
  void resume(const outbox::pause_scope& scope) {
    std::erase_if(pauses_, [&](const paused& p) { return p.scope == scope; });
  }

  // --- faults. operation: the name of the member function.
  enum class effect { none, done };  // whether the statement took effect although it failed
  void fail_next(std::string operation, base::failure why, effect what = effect::none);
  void hold_answers() { holding_ = true; }
  void release_answers();
  std::size_t calls(const std::string& operation) const;

  void read(outbox::read_request request, handler<outbox::read_answer> done) override;
  void load_bodies(std::vector<outbox::row_ref> rows,
                   handler<std::vector<outbox::loaded_body>> done) override;
  void load_failed(std::int64_t after, bool dead_too, std::size_t limit,
                   handler<std::vector<outbox::failed_row>> done) override;
  void load_pauses(handler<std::vector<outbox::pause_in_force>> done) override;
  void settle(std::vector<outbox::row_ref> rows, handler<outbox::settle_answer> done) override;
  void decide(std::int64_t epoch, std::vector<outbox::decision> decisions,
              handler<outbox::decide_answer> done) override;
  void measure(std::vector<outbox::id_range> where, handler<outbox::backlog> done) override;
  void rest(bool) override {}  // it has no connections
  void purge(std::chrono::milliseconds sent_before, std::chrono::milliseconds dead_before,
             std::size_t limit, handler<std::size_t> done) override;

 private:
  struct paused {
    outbox::pause_scope scope;
    std::string reason;
    time_point at;
    std::optional<time_point> ends_at;
  };
  struct fault {
    std::string operation;
    base::failure why;
    effect what;
  };

  template <typename T>
  void answer(const std::string& operation, handler<T> done, const std::function<T()>& statement);
  template <typename Wanted>
  std::vector<outbox::message> select(std::size_t limit, Wanted wanted) const;

  memory_row* open_row(const outbox::row_ref& ref);
  bool visible(const memory_row& row) const { return !open_.contains(row.written_by); }
  outbox::message seen_now(const memory_row& row) const;
  time_point waits_since(const memory_row& row) const;
  outbox::read_answer run_read(const outbox::read_request& request) const;
  void run_scan(const outbox::scan& scan, std::int64_t frontier, outbox::read_answer& answer) const;
  void run_deferred(const outbox::read_request& request, outbox::read_answer& answer) const;
  memory_row* undecided_row(const outbox::decision& d);
  bool is_decided(const outbox::decision& d) const;
  std::map<std::string, std::int64_t> run_dead_reasons() const;
  outbox::backlog run_measure(const std::vector<outbox::id_range>& where) const;

  boost::asio::any_io_executor executor_;
  std::map<std::int64_t, memory_row> rows_;
  std::set<transaction> open_;
  std::map<std::int64_t, transaction> locks_;  // who holds the row
  transaction next_transaction_ = 1000;
  std::int64_t next_id_ = 1;
  std::uint32_t next_message_ = 1;
  std::int64_t epoch_ = 0;
  time_point now_{std::chrono::hours(24 * 365 * 50)};
  bool delete_on_ack_ = false;
  std::vector<paused> pauses_;

  std::deque<fault> faults_;
  std::map<std::string, std::size_t> calls_;
  bool holding_ = false;
  std::vector<std::function<void()>> held_;
};

}  // namespace outboxd::tests
