// Order within a key: a row of a key may be published only if every earlier visible row of that key
// is final; when pipelined, or is in flight already. A key is closed to every row behind one that
// has failed or that was skipped. A false "closed" delays; a false "open" would reorder, so there
// is none. Pure; owned by the relay core.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "outbox/store.hpp"
#include "relay/pool.hpp"
#include "relay/row.hpp"

namespace outboxd::relay {

// What is known of a key: while rows of it are in memory, or it is closed; and for a while after
// that, because its next row is likely to come soon.
struct key_state {
  std::string name;
  rows_of_key waiting;                  // in memory, not published
  row* next = nullptr;                  // of these, the one that may be published
  std::size_t flying = 0;               // in flight,
  std::size_t apart = 0;                // of these not on the key's own lane
  std::size_t failing = 0;              // their decision is not written yet
  std::vector<outbox::row_ref> failed;  // ascending: deferred in the table, or back from there
  std::optional<std::int64_t> skipped;  // lowest id that is only in the table
  std::optional<std::int64_t> asked;    // the same, and a walk for it is under way
  bool passed = false;                  // the walk's rows of this key are skipped from here on
  bool ripe = false;                    // in ripe_
  bool counted_closed = false;
  bool idle = false;  // nothing is known of it
  std::size_t counted_failed = 0;

  bool in_memory() const { return !waiting.empty() || flying > 0 || failing > 0; }
  std::optional<std::int64_t> closed_from() const;
  bool readable() const;
};

class key_order {
 public:
  // What a change means for the rows of the key.
  struct change {
    row* up = nullptr;          // is the key's next: may be published
    row* down = nullptr;        // was the key's next, and must wait
    std::vector<row*> evicted;  // must leave memory: they will be read again
  };

  explicit key_order(bool pipelined = false) : pipelined_(pipelined) {}

  // So many rows of a key may wait in memory: an eighth of what is left, so that no key crowds out
  // the others; half of it where they do not wait for each other's confirms.
  std::size_t share(std::size_t free_rows) const {
    return std::max<std::size_t>(1, free_rows / (pipelined_ ? 2 : 8));
  }
  // May this row come into memory? A pending row that may not is remembered, and so are those
  // behind it: they will be asked for when their key is free. `free_rows`: how many more rows fit.
  bool admit(const outbox::message& pending, std::size_t free_rows, change& c);
  // The same for a deferred row that fell due; refused ones stay due in the table.
  bool admit_due(const outbox::message& due, std::size_t free_rows) const;
  bool in_memory(const std::string& key) const;
  bool in_flight(const std::string& key) const;
  // The key's next row waits for its destination: those behind it are not worth their memory.
  bool waits(const std::string& key) const;

  // An admitted row with a key.
  change add(row& r);
  // It was written to its lane.
  change published(row& r);
  // It failed: what becomes of it is being decided.
  change failed(row& r);
  // The row is final (acked, dead) or gone from the table.
  change finish(row& r);
  // The row was deferred: its key is held until it comes back and is final.
  change defer(row& r);
  // The row's fate is not known to us: it is read again, and nothing of its key before.
  change forget(row& r);
  // It is not known whether the broker has it: it is to be published again.
  change again(row& r);
  // It leaves memory, and so do those behind it; the caller remembers where they are.
  change send_back(row& r);
  // The same of those that wait behind a row in the table.
  change send_back_behind(const std::string& key, std::int64_t id);
  // A row in the table that its key has to wait for: it failed before this leader's time, or is
  // dead and an operator is to decide, or is about to take its place among those that wait.
  change hold(const std::string& key, const outbox::row_ref& failed);
  // It has its key wait no more.
  void release(const std::string& key, const outbox::row_ref& failed);
  // A row of this key is in the table only: it is to be read when the key is free.
  void put_off(const std::string& key, std::int64_t id);
  // Failed rows that are final without us.
  void release_if(const std::function<bool(const outbox::row_ref&)>& is_final);

  // Keys that are free again and have skipped rows, in one walk from the lowest; each is handed out
  // once, until its answer. The caller sets the limits.
  std::optional<outbox::scan> ask(std::size_t max_keys);
  // May this row of an answer to ask() come into memory? After the first no, the rest of the key is
  // skipped.
  bool admit_skipped(const outbox::message& skipped, std::size_t free_rows, change& c);
  // It was skipped on somebody else's account, who knows where it is.
  void skipped_elsewhere(const std::string& key);
  // The walk has seen everything up to `to`; `all`: up to the frontier.
  void answered(const outbox::scan& asked, std::int64_t to, bool all);

  // The reader starts from the beginning: what was skipped will come again by itself.
  void restart();
  // The lead is gone: only what is in flight stays.
  void reset();

  // No row that was skipped on a key's account has a lower id. Looks at every key.
  std::optional<std::int64_t> lowest_skipped() const;

  // Keys that are kept, for whatever reason.
  std::size_t known() const { return keys_.size(); }
  bool has_ripe() const { return !ripe_.empty(); }
  std::size_t held() const { return held_; }
  // Failed rows that are remembered one by one.
  std::size_t failed() const { return failed_; }
  // Keys about which something must be remembered though none of their rows is in memory.
  std::size_t closed() const { return closed_; }

 private:
  bool room_for(const key_state& k, std::size_t free_rows) const;
  bool may_go(const key_state& k) const;
  void promote(key_state& k, change& c) const;
  void line_up(key_state& k, row& r, change& c) const;
  static void evict_behind(key_state& k, std::int64_t id, change& c);
  static void remember_failed(key_state& k, const outbox::row_ref& ref);
  static void withdraw(key_state& k, row& r);
  static key_state& take_out(row& r);
  change close_behind(key_state& k, std::int64_t id);
  key_state* find(std::string_view key) const;
  key_state& at(const std::string& key);
  void forget_idle();
  // Recounts, queues the key for reading when it is ripe, lets it be forgotten when nothing is left
  // to remember.
  void recount(key_state& k);

  bool pipelined_;
  pool<key_state> pool_;
  // By their own names.
  boost::unordered_flat_map<std::string_view, std::unique_ptr<key_state>,
                            std::hash<std::string_view>>
      keys_;
  std::deque<std::string> ripe_;
  std::size_t held_ = 0;
  std::size_t failed_ = 0;
  std::size_t closed_ = 0;
  std::size_t idle_ = 0;
};

}  // namespace outboxd::relay
