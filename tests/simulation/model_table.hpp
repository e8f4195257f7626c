// A model of outbox.messages: transactions that commit late or roll back, statements with one
// snapshot each (what they mean stands in outbox/store.hpp), a log that is not on the disk at once,
// and crashes that lose its end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "outbox/store.hpp"
#include "tests/simulation/checker.hpp"
#include "tests/simulation/clock.hpp"
#include "tests/simulation/luck.hpp"

namespace outboxd::simulation {

enum class status { pending, deferred, sent, dead };

struct table_row {
  outbox::message msg;  // as it is in the table now; the body may be too large to come with a read
  status state = status::pending;
  bool large = false;
  std::uint64_t commit = 0;  // number of the commit that made it visible
  std::chrono::microseconds due_at{0};
  std::optional<std::chrono::microseconds> failing_since;
};

class model_table {
 public:
  using xid = std::uint64_t;

  model_table(luck& luck, const clock& clock, checker& checker)
      : luck_(luck), clock_(clock), checker_(checker) {}

  bool delete_on_ack = false;

  // ---- services ----
  xid begin();
  std::int64_t draw_id() { return next_id_++; }
  // not_before: in the future, or none. The row gets the id and a message_id of its own.
  row_ref insert(xid by, std::int64_t id, outbox::message m, nature what, bool large,
                 std::optional<std::chrono::microseconds> not_before);
  // durable: the service waits until it is on the disk.
  void commit(xid t, bool durable);
  void roll_back(xid t);

  // ---- the relay's statements ----
  outbox::read_answer read(const outbox::read_request& request) const;
  std::vector<outbox::loaded_body> load_bodies(const std::vector<row_ref>& rows) const;
  std::vector<outbox::failed_row> load_failed(std::int64_t after, bool dead_too,
                                              std::size_t limit) const;
  outbox::settle_answer settle(const std::vector<row_ref>& rows);
  outbox::decide_answer decide(std::int64_t epoch, const std::vector<outbox::decision>& decisions);
  std::int64_t take_lead();

  // ---- operators ----
  void retry(const row_ref& dead);
  void discard(const row_ref& failed);
  // Somebody's open transaction: the relay can write nothing of these rows.
  std::set<std::int64_t> locked;
  // In force until it is ended; in the order in which they began.
  std::vector<outbox::pause_in_force> pauses;

  // ---- the disk ----
  void flush();
  // Everything open is rolled back, and the end of the log is lost. Ids can be handed out again.
  void crash();

  // ---- questions ----
  std::int64_t epoch() const { return epoch_; }
  bool has_open_transactions() const { return !open_.empty(); }
  // Ascending: pending, failed and waiting, or (with dead_too) dead rows of the key below `id`.
  std::vector<row_ref> waiting_before(const std::string& key, std::int64_t id, bool dead_too) const;
  std::vector<row_ref> unfinished() const;  // pending or deferred
  std::vector<row_ref> dead() const;
  const table_row* find(const row_ref& ref) const;

 private:
  // What a statement sees: commits up to this number.
  struct view {
    std::uint64_t commits = 0;
  };
  struct logged {
    std::vector<std::int64_t> born;    // by a commit
    std::optional<table_row> settled;  // as it was before
  };

  static bool shows(view seen, const table_row& r) { return r.commit <= seen.commits; }
  table_row* at(std::int64_t id);
  void place(const table_row& r);
  void unplace(const table_row& r);
  void erase(std::int64_t id);
  void read_below(const outbox::read_request& q, outbox::read_answer& a) const;
  void read_deferred(const outbox::read_request& q, outbox::read_answer& a) const;
  void undo(const logged& entry);
  outbox::message answered(const table_row& r) const;

  luck& luck_;
  const clock& clock_;
  checker& checker_;

  std::map<xid, std::vector<table_row>> open_;
  std::map<std::int64_t, table_row> rows_;  // visible ones
  std::set<std::int64_t> pending_;
  std::set<std::pair<std::chrono::microseconds, std::int64_t>> deferred_;
  std::set<std::int64_t> dead_;
  std::map<std::string, std::set<std::int64_t>> keys_;  // rows that are not sent

  xid next_xid_ = 100;
  std::int64_t next_id_ = 1;
  std::int64_t durable_id_ = 0;  // the sequence never goes back behind a row that is on the disk
  std::uint32_t next_message_ = 1;
  std::uint64_t commits_ = 0;
  std::int64_t epoch_ = 0;
  std::vector<logged> log_;  // not on the disk yet
};

}  // namespace outboxd::simulation
