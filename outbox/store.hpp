// What the relay asks of the database: read rows, load bodies, record facts, record decisions.
// Implemented by pg_store (PostgreSQL) and memory_store (unit tests); both pass the same contract
// suite (tests/support/store_contract.hpp).
// Every call returns at once and answers exactly once, on the executor the store was made with,
// never from inside the call. At most one settle() or decide() is outstanding, and at most one
// of each of the others. A failure leaves the database unchanged or,
// when it is `unavailable`, in doubt: every statement here may be repeated.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "outbox/message.hpp"
#include "outbox/pause.hpp"

namespace outboxd::outbox {

inline constexpr std::int64_t last_id = std::numeric_limits<std::int64_t>::max();

// Ids first..last, both included.
struct id_range {
  std::int64_t first = 0;
  std::int64_t last = 0;
  friend bool operator==(const id_range&, const id_range&) = default;
};

// Where rows go: an exchange and a routing key, or (none) every routing key of that exchange.
struct destination {
  std::string exchange;
  std::optional<std::string> routing_key;
  friend bool operator==(const destination&, const destination&) = default;
};

// Pending rows with after < id <= frontier: rows that were skipped, read again. Walks the pending
// rows in the order of their ids and stops at the first of its limits, so that one statement never
// takes long, however many rows wait, nor however many were sent whose entries an old snapshot
// keeps in the index.
struct scan {
  std::int64_t after = 0;
  std::size_t rows = 1;              // at most so many come back, at least one
  std::size_t visited = 1;           // at most so many are looked at, at least one
  std::vector<std::string> keys;     // only rows of these ordering keys; empty: all rows
  std::vector<destination> without;  // not the rows without an ordering key that go to these
  std::int64_t to = last_id;         // not beyond this id
};

// Of the statement that read the rows. xmin: every transaction below it has ended
// (pg_current_snapshot, PostgreSQL docs, functions-info), or is known not to be able to fill a gap
// of the request. next_xid: no transaction had this id or a higher one when the rows were read. It
// is not the snapshot's xmax, which is one above the last *completed* transaction: running ones can
// be above that.
struct snapshot {
  std::uint64_t xmin = 0;
  std::uint64_t next_xid = 0;
};

// One statement, hence one snapshot, answers all parts of a request (ADR 5).
struct read_request {
  std::int64_t frontier = 0;   // pending rows with id > frontier
  std::vector<id_range> gaps;  // pending rows in these ranges (ascending, disjoint, <= frontier)
  std::size_t limit = 0;       // frontier and gaps: at most so many rows, lowest ids first
  // So that a statement is bounded by ids as well (see reader.hpp): nothing above `to`; or, above
  // the frontier, the first `span` ids of those that have been drawn, if there are more (0: all).
  std::optional<std::int64_t> to;
  std::int64_t span = 0;
  std::optional<scan> below;  // skipped rows below the frontier
  std::size_t due_limit = 0;  // deferred rows whose due_at has come, earliest due first, then id
  // Scheduled rows (they have never failed) that are due later than this from now; 0: no limit.
  std::chrono::milliseconds max_delay{0};
  std::size_t inline_row_bytes = 0;    // body and headers come with a row up to this size together,
  std::size_t inline_total_bytes = 0;  // as long as those of all rows add up to no more than this
};

struct read_answer {
  std::int64_t epoch = 0;  // of the lead, in the same snapshot: another leader's rows are not ours
  snapshot snap;
  std::vector<message> rows;  // frontier and gaps, ascending by id; fewer than limit: all there is
  // Every row above this id was left out. Ids up to here have been drawn, by transactions with an
  // id below next_xid.
  std::optional<std::int64_t> up_to;
  std::vector<message> due;
  std::vector<message> below;  // answers to the scan, ascending by id
  std::int64_t below_to = 0;   // every row that the scan asks for, up to this id, is in `below`
  // Beyond max_delay, farthest first, a hundred at most, no bodies: of the thousand deferred rows
  // that are due last. Failed rows may be among these, so one that is scheduled for a time before
  // theirs may go unnamed; never one that is scheduled further ahead than any pause.
  std::vector<message> too_late;
  std::optional<std::chrono::milliseconds>
      next_due_in;  // earliest deferred row that is not yet due
};

struct loaded_body {
  row_ref ref;
  std::string body;
  std::optional<std::string> headers;
};

enum class fate {
  deferred,  // tried again after retry_in
  dead,
  pending,  // it fell due, but has to wait for others: takes its place among those that wait
};

// As the table calls it.
constexpr std::string_view to_string(fate f) {
  switch (f) {
    case fate::deferred:
      return "deferred";
    case fate::dead:
      return "dead";
    case fate::pending:
      return "pending";
  }
  return "?";
}

// A decision about a row. One that failed (deferred, dead): the database adds one to attempts, sets
// failing_since if it was null, and for `deferred` sets due_at to its own clock plus retry_in.
struct decision {
  row_ref ref;
  int attempts = 0;  // of the row when it was read: about a row that has changed since, nothing is
                     // decided. Repeated after a doubtful answer, it changes nothing twice.
  fate what = fate::deferred;
  std::chrono::milliseconds retry_in{0};
  std::string last_error;  // "returned: 312 NO_ROUTE", for people; at most 1,000 bytes are kept
};

// A row that has failed and waits, or (dead) was given up: it holds its key. After a take-over the
// holds are rebuilt from these.
struct failed_row {
  row_ref ref;
  bool dead = false;
  std::string exchange;
  std::string routing_key;
  std::optional<std::string> ordering_key;
};

inline constexpr std::int64_t dead_rows_asked = 1'000;

// What a write came to. locked: nothing is known to have become of these, because somebody else's
// transaction holds them; to be asked for again.
struct settle_answer {
  std::size_t changed = 0;
  std::vector<row_ref> locked;
};
struct decide_answer {
  std::vector<row_ref> changed;  // now, or by the same decision before
  std::vector<row_ref> locked;
};

struct backlog {
  std::int64_t pending = 0;   // exact up to 100,000, an estimate from the id range above
  std::int64_t deferred = 0;  // bounded the same way
  std::int64_t dead = 0;
  std::optional<std::chrono::microseconds> oldest_due_age;  // oldest row that should be out by now
  // Why the newest dead rows were given up: their number by the word before the colon of
  // last_error; "other" where that is none of ours. Of dead_rows_asked at most.
  std::map<std::string, std::int64_t> dead_reasons{};
};

class store {
 public:
  template <typename T>
  using handler = std::function<void(base::result<T>)>;

  virtual ~store() = default;

  virtual void read(read_request request, handler<read_answer> done) = 0;

  // Bodies and headers of those rows that still exist; rows that are gone are left out.
  virtual void load_bodies(std::vector<row_ref> rows, handler<std::vector<loaded_body>> done) = 0;

  // Every row with status deferred and attempts > 0, and with `dead_too` those that are dead and
  // have an ordering key: id > after, ascending by id, at most limit.
  virtual void load_failed(std::int64_t after, bool dead_too, std::size_t limit,
                           handler<std::vector<failed_row>> done) = 0;

  // What is paused now. On a schema without pauses (version 1): nothing.
  virtual void load_pauses(handler<std::vector<pause_in_force>> done) = 0;

  // A fact, written whoever leads: these rows were acknowledged and not returned. Marks them sent,
  // or deletes them if the store was made to. Rows that are gone or belong to another message_id
  // are left alone. A row that is locked keeps no other from being written.
  virtual void settle(std::vector<row_ref> rows, handler<settle_answer> done) = 0;

  // Decisions take effect only while `epoch` is the current one, and only on rows that are still
  // pending or deferred, with as many attempts as the decision says. A row that is locked keeps no
  // other from being written.
  virtual void decide(std::int64_t epoch, std::vector<decision> decisions,
                      handler<decide_answer> done) = 0;

  // For the gauges. Pending rows are looked for in these ranges only (ascending, disjoint): while
  // an old snapshot is held the index keeps what was sent, and to walk over all of that would take
  // ever longer.
  virtual void measure(std::vector<id_range> where, handler<backlog> done) = 0;

  // Deletes at most `limit` rows sent longer ago than `sent_before`, or dead longer than
  // `dead_before`; answers with their number.
  virtual void purge(std::chrono::milliseconds sent_before, std::chrono::milliseconds dead_before,
                     std::size_t limit, handler<std::size_t> done) = 0;

  // On: what a stand-by needs, which is nothing. Connections are closed as soon as no call waits,
  // and made again by the next one.
  virtual void rest(bool on) = 0;
};

}  // namespace outboxd::outbox
