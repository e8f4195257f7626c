// What happened to every row, by its identity, and whether that keeps the promises. The table, the
// broker and the lanes tell it; it throws a violation as soon as a promise is broken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "outbox/store.hpp"
#include "relay/verdict.hpp"
#include "tests/simulation/clock.hpp"
#include "tests/simulation/violation.hpp"

namespace outboxd::simulation {

using outbox::row_ref;

// What a row is, whatever its destination does.
enum class nature {
  good,
  never_routes,      // returned, though its neighbours are not
  refused,           // the broker closes the channel over it
  kills_connection,  // or the connection
  invalid,           // cannot be encoded
  too_large,
  too_far,  // scheduled beyond OUTBOX_MAX_DELAY
};

enum class fate_in_table { unborn, visible, rolled_back, vanished, discarded };

struct story {
  outbox::message msg;
  nature what = nature::good;
  fate_in_table where = fate_in_table::unborn;
  bool scheduled = false;
  bool out_of_turn = false;  // an operator sent it again: its place in the order is gone
  bool early_id = false;     // drawn long before its transaction began
  bool dead = false;
  bool told_confirmed = false;
  bool told_failed = false;     // and may be overtaken by a pipelined one
  bool refused_by_one = false;  // nacked or returned, as the broker knows
  int publishes = 0;
  int deliveries = 0;
  int excused = 0;    // deliveries that ended in a nack all the same
  int exposures = 0;  // faults while it was in flight or not yet marked
  time_point visible_at{};
};

class checker {
 public:
  explicit checker(const clock& clock) : clock_(clock) {}

  // Settings that the promises depend on.
  bool pipelined = false;
  std::chrono::milliseconds give_up_after{0};

  // ---- the table ----
  story& written(const outbox::message& m, nature what);
  void committed(const row_ref& ref);
  void rolled_back(const row_ref& ref);
  void vanished(const row_ref& ref);  // in a crash of the database
  void marked_sent(const row_ref& ref);
  void died(const row_ref& ref, int attempts, std::chrono::microseconds failing_for);

  // ---- the broker ----
  void delivered(const row_ref& ref, bool then_nacked);
  void dropped(const row_ref& ref);  // unroutable and not mandatory
  void refused(const row_ref& ref);  // nacked or returned

  // ---- the relay ----
  // `earlier`: waiting rows of its key with lower ids; `beside`: those of them that are written on
  // the same incarnation of its channel, with no answer yet. outdated: somebody else leads.
  void published(const row_ref& ref, const std::vector<row_ref>& earlier,
                 const std::vector<row_ref>& beside, bool outdated);
  void told(const row_ref& ref, relay::verdict what);
  // A fault while it was in flight or not yet marked: it may be delivered once more.
  void exposed(const row_ref& ref) { ++at(ref).exposures; }

  // Publishes to this destination so far.
  int publishes_to(const std::string& exchange, const std::string& routing_key) const {
    const auto it = publishes_.find({exchange, routing_key});
    return it == publishes_.end() ? 0 : it->second;
  }

  // The end: which rows are pending or deferred, and which of them have a reason to be.
  void finished(const std::vector<row_ref>& waiting, const std::set<row_ref>& may_wait) const;

  const story& of(const row_ref& ref) const { return stories_.at(ref); }
  story& at(const row_ref& ref) { return stories_.at(ref); }
  bool knows(const row_ref& ref) const { return stories_.contains(ref); }
  const auto& all() const { return stories_; }
  std::string describe(const row_ref& ref) const;

 private:
  std::string queue_of(const story& s) const;

  const clock& clock_;
  std::unordered_map<row_ref, story, outbox::row_ref_hash> stories_;
  std::map<std::string, std::set<std::int64_t>> delivered_ids_;  // by queue_of, while in the table
  std::map<std::pair<std::string, std::string>, int> publishes_;
};

}  // namespace outboxd::simulation
