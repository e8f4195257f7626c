// Order within a key: one row of a key at a time may be published (strict), lowest id first, and a
// key is closed to every row behind one that has failed or that was skipped. A false "closed"
// delays; a false "open" would reorder, so there is none. Pure; owned by the relay core.
//
// The rule it keeps: a row of a key goes out only when every earlier visible row of that key is
// final.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "outbox/store.hpp"
#include "relay/row.hpp"

namespace outboxd::relay {

class key_order {
 public:
  // What a change means for the rows of the key.
  struct change {
    row* up = nullptr;    // is the key's next: may be published
    row* down = nullptr;  // was the key's next, and must wait again: a lower id has appeared
    std::vector<row*>
        evicted;  // must leave memory: they are behind a row that failed, and will be read again
  };

  // May this row come into memory? A pending row that may not is remembered: it will be asked for
  // when its key is free. `free_rows`: how many more rows fit; no key gets more than an eighth of
  // what is left, so that no key crowds out the others.
  bool admit(const outbox::message& pending, std::size_t free_rows);
  // The same for a deferred row that fell due; refused ones stay due in the table.
  bool admit_due(const outbox::message& due, std::size_t free_rows) const;

  // An admitted row with a key.
  change add(row& r);
  // The row is final (acked, dead) or gone from the table.
  change finish(row& r);
  // The row was deferred: its key is held until it comes back and is final.
  change fail(row& r);
  // The row's fate is not known: read it again, and nothing of its key before.
  change forget(row& r);
  // A row that failed earlier and waits in the table (after a take-over).
  void hold(const std::string& key, const outbox::row_ref& failed);
  // Failed rows that are final without us.
  void release_if(const std::function<bool(const outbox::row_ref&)>& is_final);

  // Keys that are free again and have skipped rows; each is handed out once, until its answer.
  std::vector<outbox::key_read> ask(std::size_t max_keys, std::size_t free_rows);
  // May this row of an answer to ask() come into memory? After the first no, the rest of the key is
  // skipped.
  bool admit_skipped(const outbox::message& skipped, std::size_t free_rows);
  // The key's part of the answer is dealt with. `next`: its first row that is still only in the
  // table, or none: everything up to the frontier is in memory.
  void answered(const outbox::key_read& asked, std::optional<std::int64_t> next);

  // The reader starts from the beginning: what was skipped will come again by itself.
  void restart();
  // The lead is gone: only what is in flight stays.
  void reset();

  bool has_ripe() const { return !ripe_.empty(); }
  std::size_t held() const { return held_; }
  // Keys about which something must be remembered though none of their rows is in memory.
  std::size_t closed() const { return closed_; }

 private:
  struct key_state {
    std::set<row*, lower_id> rows;        // in memory, not final
    row* active = nullptr;                // the one that may be, or is, published
    std::vector<outbox::row_ref> failed;  // ascending: deferred in the table, or back from there
    std::optional<std::int64_t> skipped;  // lowest id that is only in the table
    std::optional<std::int64_t> asked;    // the same, and a read for it is under way
    bool ripe = false;                    // in ripe_
    bool counted_held = false, counted_closed = false;

    std::optional<std::int64_t> closed_from() const;
  };
  using table = std::unordered_map<std::string, key_state>;

  static bool room_for(const key_state& k, std::size_t free_rows);
  static void promote(key_state& k, change& c);
  static void evict_behind(key_state& k, std::int64_t id, change& c);
  static void remember_failed(key_state& k, const outbox::row_ref& ref);
  table::iterator take_out(row& r);
  change close_behind(table::iterator it, std::int64_t id);
  // Recounts, queues the key for reading when it is ripe, forgets it when nothing is left to
  // remember.
  void settle(table::iterator it);

  table keys_;
  std::deque<std::string> ripe_;
  std::size_t held_ = 0;
  std::size_t closed_ = 0;
};

}  // namespace outboxd::relay
