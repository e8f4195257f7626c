// Which destinations work. Failures are usually about the destination, so when three different rows
// of one have failed with no success between, it is held: nothing goes there but one probe at each
// back-off, a different row where there is one, until one succeeds. Then its share of the window
// grows from one. Pure; owned by the relay core.
//
// A destination is an exchange and a routing key; for a missing exchange, and where too many
// routing keys of one exchange are held, the exchange.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/backoff.hpp"
#include "outbox/store.hpp"
#include "relay/hold.hpp"
#include "relay/row.hpp"

namespace outboxd::relay {

struct hold {
  hold_info shown;
  bool silent =
      false;  // it does not answer: the same row is asked again, so that no more are sent twice
  std::vector<row*> pool;  // wait in memory to be the next probe
  row* probing = nullptr;  // chosen, until its outcome
  bool fed = false;        // some row was seen for it since the round began
  // Which rows may be the next probe: those behind the last one, so that each has its turn; first
  // those that have not failed on their own account, then any.
  std::int64_t after = 0;
  bool only_fresh = true;
  bool left_out = false;  // of the round, in part
  int in_vain = 0;        // how often none of its rows could be a probe
};

struct exchange_site {
  std::string name;
  std::size_t sites = 0;
  std::size_t held_sites = 0;
  std::uint64_t confirmed = 0;
  std::uint64_t confirmed_at_first_hold = 0;
  std::vector<outbox::row_ref> failed;  // for want of the exchange, without a success since
  std::unique_ptr<hold> held;
};

inline constexpr std::size_t whole_window = std::numeric_limits<std::size_t>::max();

// An exchange and a routing key that rows in memory go to, or about which something is remembered.
struct site {
  exchange_site* exchange = nullptr;
  std::string routing_key;
  std::size_t rows = 0;                 // in memory, not confirmed
  std::uint64_t confirmed = 0;          // so far
  std::int64_t last_good = 0;           // the row that was confirmed last
  std::vector<outbox::row_ref> failed;  // different ones, without a success since
  std::unique_ptr<hold> held;

  bool trusted = true;  // a row of it has been confirmed since one may have closed a channel

  // The window's.
  std::size_t suspects = 0;  // ready or in flight: until one of them is confirmed, no others go
  std::size_t share = whole_window;  // at most so many in flight
  std::size_t ready = 0;
  std::size_t in_flight = 0;
  std::size_t in_quarantine = 0;
  // Ready, but it has its share in flight already; the second ones are for the quarantine.
  row_line parked, parked_failed;

  hold* current() const { return exchange->held ? exchange->held.get() : held.get(); }
};

class destinations {
 public:
  // random: [0, 1). waiting_at_most: rows that wait in memory to be probes, all holds together.
  destinations(std::size_t max_in_flight, base::backoff probes, std::size_t waiting_at_most,
               std::function<double()> random);

  // The row comes into memory, or needs its destination no more.
  void enter(row& r);
  void leave(row& r);

  // The hold this row would wait behind; null: none.
  hold* hold_of(const outbox::message& m);
  // It waits in memory, state held, to be a probe; false: enough others do.
  bool wait(row& r);
  bool may_wait(const hold& h, const outbox::message& m) const;
  // There are rows behind it, in the table at least.
  static void seen(hold& h) { h.fed = true; }
  // It waits no more, or is no probe any more.
  void forget(row& r);

  // The row failed, maybe for its destination's sake. True: that is held, and was before; the row
  // is not to blame. May begin a hold.
  bool failed(row& r, verdict what, const std::string& reason, time_point now);
  // The same of a row in the table that failed before this leader's time.
  void failed_before(const outbox::failed_row& f, const std::string& reason, time_point now);
  // The broker confirms others, but not this row, which is the oldest.
  void silent(row& r, const std::string& reason, time_point now);
  // The broker may have closed a channel because of it.
  static void suspect(row& r);
  // Nothing is known of the probe.
  void probe_lost(row& r, time_point now);
  // Ends the hold: answers with the rows that waited, which may go now.
  std::vector<row*> succeeded(row& r);

  // Rows that are to go as probes now.
  std::vector<row*> take_probes(time_point now);
  // When the next probe is due for which a row waits.
  std::optional<time_point> next_probe() const { return next_probe_; }
  // When the next one is due for which no row waits: one is to be read then.
  std::optional<time_point> hungry_at() const { return hungry_at_; }
  // Destinations whose rows need not be read now: held, and not in want of one.
  std::vector<outbox::destination> sated(time_point now);

  // A walk over all skipped rows begins, or is over: a hold for which it found none is over, too.
  // True: there was such a one.
  void round_begins();
  bool round_ended(time_point now);

  // Nothing goes to the exchange, and nothing asks whether it works, until resume_exchange(). What
  // was known of it is forgotten; answers with the rows that waited.
  std::vector<row*> pause_exchange(const std::string& exchange, time_point now);
  void resume_exchange(const std::string& exchange);

  void reset();

  // Without those that are paused.
  std::size_t held() const { return holds_.size() - paused_; }
  std::vector<hold_info> holds() const;
  std::vector<hold_event> take_events() { return std::exchange(events_, {}); }

 private:
  struct site_name {
    std::string_view exchange, routing_key;
    friend bool operator==(const site_name&, const site_name&) = default;
  };
  struct site_name_hash {
    std::size_t operator()(const site_name& n) const noexcept {
      const std::hash<std::string_view> of;
      return 31 * of(n.exchange) + of(n.routing_key);
    }
  };
  static site_name name_of(const site& s) { return {s.exchange->name, s.routing_key}; }
  site& at(const std::string& exchange, const std::string& routing_key);
  void forget_if_idle(site& s);
  void erase_if_idle(const site_name& name);
  void note(std::vector<outbox::row_ref>& failed, const outbox::row_ref& ref);
  void count(site& s, const outbox::row_ref& ref, verdict what, const std::string& reason,
             time_point now);
  void begin(std::unique_ptr<hold>& place, outbox::destination where, const std::string& reason,
             time_point now);
  void begin_site(site& s, const std::string& reason, time_point now);
  void begin_exchange(exchange_site& e, const std::string& reason, time_point now);
  std::vector<row*> end(std::unique_ptr<hold>& place, bool quietly = false);
  std::vector<row*> end_site(site& s, bool quietly = false);
  std::chrono::milliseconds pause(const hold& h) const;
  void schedule(hold& h, time_point now);
  void find_next_probe();

  std::size_t max_in_flight_;
  base::backoff backoff_;
  std::size_t waiting_at_most_;
  std::function<double()> random_;

  std::unordered_map<std::string, std::unique_ptr<exchange_site>> exchanges_;
  // By their own names.
  boost::unordered_flat_map<site_name, std::unique_ptr<site>, site_name_hash> sites_;
  std::deque<std::pair<std::string, std::string>> remembered_;  // without rows, oldest first
  std::vector<hold*> holds_;
  std::size_t paused_ = 0;  // of these
  std::size_t waiting_ = 0;
  std::optional<time_point> next_probe_, hungry_at_;
  std::vector<hold_event> events_;
};

}  // namespace outboxd::relay
