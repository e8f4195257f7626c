// The relay's decisions, and nothing else: which rows to read, which to publish, what each outcome
// means, what to write back. Events go in through the functions below; poll() says what to do now.
// No clock, no randomness, no I/O, no log: time and luck are arguments. The driver (relay.cpp)
// obeys, and calls poll() after every event and when next_poll() comes.
//
// In five files: core.cpp (a row's way through memory), core_read.cpp (what is read and may stay),
// core_outcome.cpp (what became of a publish), core_write.cpp (what the table is told, and tells of
// failures), core_pause.cpp (what operators have stopped).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/backoff.hpp"
#include "base/result.hpp"
#include "outbox/reader.hpp"
#include "outbox/store.hpp"
#include "outbox/wake.hpp"
#include "relay/destinations.hpp"
#include "relay/key_order.hpp"
#include "relay/options.hpp"
#include "relay/pauses.hpp"
#include "relay/renewals.hpp"
#include "relay/row_table.hpp"
#include "relay/skipped.hpp"
#include "relay/window.hpp"

namespace outboxd::relay {

// What poll() asks for. Every read, load, settle and decide is answered by the event of its name.
struct do_read {
  outbox::read_request request;
};
struct do_load_bodies {
  std::vector<outbox::row_ref> rows;
};
struct do_load_failed {
  std::int64_t after = 0;
  bool dead_too = false;
  std::size_t limit = 0;
};
struct do_load_pauses {};
struct do_publish {
  row* what;
};  // on what->lane; alive until its outcome
struct do_settle {
  std::vector<outbox::row_ref> rows;
};
struct do_decide {
  std::int64_t epoch;
  std::vector<outbox::decision> decisions;
};
struct do_want_quarantine {
  bool wanted;
};
struct do_renew {
  lane_id lane;  // counts as closed from now on
};
struct do_tell {
  hold_event what;
};
struct do_tell_pause {
  pause_event what;
};
struct do_try_wake_lock {};
struct do_release_wake_lock {};
using action = std::variant<do_read, do_load_bodies, do_load_failed, do_load_pauses, do_publish,
                            do_settle, do_decide, do_want_quarantine, do_renew, do_tell,
                            do_tell_pause, do_try_wake_lock, do_release_wake_lock>;

// Says what became of a row for good, for metrics and logs.
struct died {
  outbox::row_ref ref;
  verdict why;
  std::string text;
};

class core {
 public:
  // lanes: without the quarantine. random: [0, 1), spreads the back-off. least_capacity: so many
  // rows fit into memory, or more.
  core(options opts, std::size_t lanes, std::function<double()> random,
       std::size_t least_capacity = 1'024);

  // ---- events
  void lead_gained(std::int64_t epoch, time_point now);
  void lead_lost();
  void notified(time_point now);
  void wake_lock_answered(const base::result<bool>& got, time_point now);

  void read_answered(base::result<outbox::read_answer> answer, time_point now);
  void bodies_loaded(base::result<std::vector<outbox::loaded_body>> bodies, time_point now);
  void failed_loaded(const base::result<std::vector<outbox::failed_row>>& failed, time_point now);
  void pauses_loaded(const base::result<std::vector<outbox::pause_in_force>>& told, time_point now);
  void settled(const base::result<outbox::settle_answer>& answer, time_point now);
  // Answers with the rows that are dead now.
  std::vector<died> decided(const base::result<outbox::decide_answer>& answer, time_point now);

  void lane_opened(lane_id lane) {
    window_.lane_opened(lane);
    renewals_.opened(lane);
  }
  // Before the outcomes of what was in flight there.
  void lane_closed(lane_id lane, doubt why, time_point now);
  void lane_blocked(lane_id lane, bool blocked) { window_.lane_blocked(lane, blocked); }
  // What the outcome came to: a channel closed twice over one row alone is a verdict on that row.
  // The row: find(o.ref).
  verdict landed(row& r, const outcome& o, time_point now);
  verdict landed(const outcome& o, time_point now) { return landed(*find(o.ref), o, now); }

  // Stop reading and publishing; what is in flight is waited for and written.
  void drain();

  // ---- what to do
  void poll(time_point now, std::vector<action>& todo);
  // When to poll again although nothing has happened; none: on the next event.
  std::optional<time_point> next_poll() const;

  // ---- questions
  // Null: not in memory.
  row* find(const outbox::row_ref& ref) { return rows_.find(ref); }
  bool leading() const { return epoch_.has_value(); }
  bool drained() const;
  std::size_t rows_in_memory() const { return rows_.size(); }
  std::size_t capacity() const { return capacity_; }
  std::size_t bytes_in_memory() const { return rows_.bytes(); }
  std::size_t unconfirmed() const { return window_.in_flight(); }
  // Without those that are paused.
  std::size_t held_keys() const { return keys_.held() - std::min(keys_.held(), pauses_.keys()); }
  std::size_t held_destinations() const { return destinations_.held(); }
  std::vector<hold_info> holds() const { return destinations_.holds(); }
  const std::vector<pause>& paused() const { return pauses_.now(); }
  // Where pending rows may be, and nowhere else as far as is known: in memory, skipped, in gaps or
  // above the frontier. Ascending, disjoint.
  std::vector<outbox::id_range> may_be_pending() const;
  // Everything committed that is due has been read and is in memory or written back.
  bool caught_up() const;
  // Age of the oldest row in memory that is not confirmed, by the database's clock.
  std::optional<std::chrono::microseconds> oldest_age(time_point now) const;
  // How long the oldest publish without an outcome has been out.
  std::optional<std::chrono::microseconds> oldest_unconfirmed_age(time_point now) const;
  // Rows whose marks or decisions cannot be written, because somebody else holds them.
  std::size_t locked_rows() const { return locked_.size(); }
  bool needs_quarantine() const { return quarantine_wanted_; }

 private:
  using refs = std::unordered_set<outbox::row_ref, outbox::row_ref_hash>;

  // Coming in.
  enum class place { taken, skipped, no_room };
  std::size_t free_rows() const;
  bool waits_in_table(const outbox::message& m);
  bool key_is_closed(const outbox::message& m) const;
  place take_or_skip(outbox::message& m, time_point now);
  bool take_due(std::vector<outbox::message>& due, std::int64_t read_to, bool last_chance,
                time_point now);
  bool take_asked(const outbox::read_request& request, outbox::read_answer& answer, time_point now);
  bool take_round(const outbox::read_request& request, outbox::read_answer& answer, time_point now);
  std::size_t take_open(const outbox::read_request& request, outbox::read_answer& answer,
                        time_point now, bool& found);
  void look_at_fewer_ids(time_point now);
  void look_at_more_ids(const outbox::read_request& request, const outbox::read_answer& answer,
                        time_point now);
  void put_back_walked(std::int64_t read_to);
  void take_too_late(std::vector<outbox::message>& late, time_point now);
  void take(outbox::message&& m, time_point now);
  void skip(const outbox::message& m);
  void skip_behind(const outbox::message& m, time_point now);
  void look_again_later(time_point now);
  void enlist(const outbox::message& m);
  // Stopped by operators.
  bool wants_pauses(time_point now) const;
  void poll_pauses(time_point now, std::vector<action>& todo);
  std::optional<time_point> next_look_at_pauses() const;
  void obey(pause_event& e, time_point now);
  void pause_exchange(const std::string& exchange, time_point now);
  void resume_exchange(const std::string& exchange);
  void forget_pauses();
  // Going on.
  void apply(const key_order::change& c);
  void activate(row& r);
  void deactivate(row& r);
  void drop(row& r);
  void send_back(row& r);
  void put_back(key_order::change c);
  void empty_held_destinations();
  void drop_unpublished();
  // Coming back.
  void confirmed(row& r, time_point now);
  void failed(row& r, verdict what, outbox::fate fate, const std::string& text);
  bool gives_up(const row& r, time_point now) const;
  std::optional<verdict> suspected(row& r, const outcome& o);
  bool is_definite(const row& r, const outcome& o) const;
  void judge(row& r, verdict what, const outcome& o, time_point now);
  void again(row& r, time_point now);
  void store_failed(const base::failure& f, time_point now);
  void store_worked() {
    store_failures_ = 0;
    store_retry_at_.reset();
  }
  void heed(const outbox::wake::advice& a, time_point now);
  void start_over(time_point now);
  void sweep(time_point now);
  void ask_for_holds(time_point now);
  void look_at_holds(time_point at);
  void learn_holds(const std::vector<outbox::failed_row>& page, time_point now);
  void let_go_of_others();
  void written(row& r);
  void decision_made(row& r, bool done, bool outdated, time_point now, std::vector<died>& dead);
  void enlisted(bool in_doubt, const refs& locked, time_point now);
  bool is_locked(const refs& locked, const outbox::row_ref& ref);
  void ask_locked_again();
  // Going out.
  bool reads_when_due() const;
  bool wants_read(time_point now) const;
  bool wants_round(time_point now) const;
  void poll_failed(std::vector<action>& todo);
  void poll_holds(time_point now, std::vector<action>& todo);
  void poll_read(time_point now, std::vector<action>& todo);
  std::size_t room_for_bodies() const;
  void poll_bodies(std::vector<action>& todo);
  void poll_publish(time_point now, std::vector<action>& todo);
  void poll_quarantine(time_point now, std::vector<action>& todo);
  void poll_renewals(time_point now, std::vector<action>& todo);
  bool may_settle(time_point now) const;
  void poll_write(time_point now, std::vector<action>& todo);
  std::optional<outbox::scan> what_to_walk(time_point now);

  options opts_;
  std::size_t capacity_;  // rows in memory
  std::function<double()> random_;

  row_table rows_;
  key_order keys_;
  destinations destinations_;
  window window_;
  skipped_rows skipped_;
  outbox::reader reader_;
  outbox::wake wake_;

  std::optional<std::int64_t> epoch_;  // while leading
  bool draining_ = false;

  pauses pauses_;
  bool pauses_out_ = false;
  bool may_be_paused_ = false;  // somebody notified: a service, or an operator
  time_point pauses_asked_at_{};
  std::optional<time_point> pauses_seen_at_;  // none: nothing is read before
  std::vector<pause_event> pause_events_;

  // The rows that have failed, read page by page: what holds keys and destinations.
  bool holds_known_ = false;  // nothing is read before
  bool holds_wanted_ = false;
  bool holds_out_ = false;
  bool holds_are_stale_ = false;  // they were asked for before something changed
  std::int64_t holds_after_ = 0;
  refs listed_, written_since_holds_asked_;
  std::size_t dead_holds_ = 0, dead_listed_ = 0;
  key_filter overflow_, overflow_next_;  // keys of failed rows that are too many to be remembered
  std::uint64_t overflow_salt_ = 0;
  std::optional<time_point> holds_at_;
  time_point holds_asked_at_{}, holds_not_before_{};

  // Reading.
  std::optional<outbox::read_request> read_out_;
  bool read_is_stale_ = false;           // it was sent under an earlier lead
  bool walk_is_round_ = false;           // what its scan is for
  std::vector<outbox::row_ref> walked_;  // rows with a key that it brought
  // So many ids are looked at: fewer after a read that was cancelled, after so long.
  std::int64_t span_;
  time_point read_sent_at_{};
  std::chrono::steady_clock::duration cancelled_after_{0};
  bool mostly_skipped_ = false;  // of the rows of the last answer
  bool read_all_ = false;        // the last read found nothing more
  std::optional<time_point> read_at_, due_at_, sweep_at_, round_at_;
  std::chrono::milliseconds round_pause_{0};
  std::optional<bool> wake_lock_todo_;  // true: try, false: release

  // Bodies.
  row_line bodiless_;
  bool load_out_ = false;
  std::vector<outbox::row_ref> loading_;

  // Writing.
  std::vector<row*> acked_, settling_;
  time_point settle_at_{};  // not before, while they are few
  std::vector<row*> undecided_, deciding_;
  struct waiting_due {
    std::optional<std::string> key;
    int attempts = 0;
    bool asked = false;
    bool locked = false;
  };
  std::unordered_map<outbox::row_ref, waiting_due, outbox::row_ref_hash> enlisting_;
  // Held by others, to be asked for again at that time.
  std::vector<row*> locked_marks_, locked_decisions_;
  std::size_t locked_enlisting_ = 0;
  refs locked_;  // by the last answer about each
  std::optional<time_point> locked_until_;
  bool decide_out_ = false;
  std::int64_t decide_epoch_ = 0;
  bool decide_next_ = false;  // settles and decisions take turns

  // The quarantine.
  bool quarantine_wanted_ = false;
  std::optional<time_point> quarantine_since_;   // wanted, and not open
  std::optional<time_point> quarantine_unused_;  // wanted, and not needed
  renewals renewals_;
  std::uint64_t confirmed_ = 0;
  std::optional<time_point> confirmed_at_;  // the last one

  int store_failures_ = 0;
  std::optional<time_point> store_retry_at_;
};

}  // namespace outboxd::relay
