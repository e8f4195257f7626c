#include "outbox/pg_store.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "outbox/lane.hpp"
#include "outbox/pg_binary.hpp"
#include "outbox/pg_locks.hpp"
#include "outbox/pg_rows.hpp"
#include "outbox/pg_sql.hpp"
#include "outbox/pg_text.hpp"
#include "outbox/purge_pass.hpp"
#include "outbox/session.hpp"

namespace outboxd::outbox {
namespace {

constexpr std::size_t last_error_limit = 1000;  // bytes

// Gaps are mostly filled within milliseconds; for the others a look at who still writes is enough
// now and then.
constexpr auto writers_interval = std::chrono::seconds(1);

// How many pages of the table one call of purge() looks at, when they hold nothing that is old
// enough.
constexpr int purge_pages = 8;

template <typename T>
std::int64_t as_bigint(T value) {
  return static_cast<std::int64_t>(
      std::min<T>(value, static_cast<T>(std::numeric_limits<std::int64_t>::max())));
}

struct range_arrays {
  std::string first;
  std::string last;
};

range_arrays arrays_of(const std::vector<id_range>& ranges) {
  std::vector<std::int64_t> first, last;
  for (const auto& range : ranges) {
    first.push_back(range.first);
    last.push_back(range.last);
  }
  return {bigint_array(first), bigint_array(last)};
}

struct destination_arrays {
  std::vector<std::string> exchanges;  // every routing key of these
  std::vector<std::string> exchange, routing_key;
};

destination_arrays arrays_of(const std::vector<destination>& destinations) {
  destination_arrays out;
  for (const auto& d : destinations) {
    if (d.routing_key) {
      out.exchange.push_back(d.exchange);
      out.routing_key.push_back(*d.routing_key);
    } else {
      out.exchanges.push_back(d.exchange);
    }
  }
  return out;
}

// What may come with its row however large the others are: all of them together fit.
std::size_t sure_to_fit(const read_request& request) {
  const std::size_t rows =
      request.limit + request.due_limit + (request.below ? request.below->rows : 0);
  return std::min(request.inline_row_bytes,
                  request.inline_total_bytes / std::max<std::size_t>(1, rows));
}

// Of gaps that stay open, why: see pg_sql_writers.hpp.
class writers_watch {
 public:
  using clock = std::chrono::steady_clock;

  // What transactions below this id may have left open is settled. 0: nothing is known.
  std::uint64_t ended_below(session& db, const statement& sql, const read_request& request) {
    const auto now = clock::now();
    if (request.gaps.empty() || now < next_look_) return 0;
    next_look_ = now + writers_interval;
    return decode_transaction(db.run(sql));
  }

 private:
  clock::time_point next_look_{};
};

// How far a read goes whose ids are bounded.
struct slice {
  std::optional<std::int64_t> up_to;
  std::uint64_t next_xid = 0;  // of the slice above the frontier
};

// The transaction id is drawn after the end of the sequence was looked at, and so is younger than
// whoever has drawn an id up to there.
slice slice_of(session& db, const store_statements& sql, const read_request& request) {
  if (request.to || request.span == 0) return {request.to};
  const std::int64_t drawn = decode_id(db.run(sql.last_drawn));
  if (drawn - request.frontier <= request.span) return {};
  return {request.frontier + request.span, decode_transaction(db.run(sql.draw_xid))};
}

read_answer run_read(session& db, const store_statements& sql, const read_request& request,
                     const std::optional<std::int64_t>& up_to) {
  if (request.gaps.empty() && !request.below && !up_to && request.max_delay.count() == 0) {
    return decode_read(db.run(sql.read_new, request.frontier, as_bigint(request.limit),
                              as_bigint(request.due_limit), as_bigint(sure_to_fit(request))));
  }
  const auto [gap_first, gap_last] = arrays_of(request.gaps);
  const auto below = request.below.value_or(scan{});
  const auto without = arrays_of(below.without);
  const auto after = request.below ? std::optional(below.after) : std::nullopt;
  return decode_read(db.run(
      sql.read, request.frontier, gap_first, gap_last, as_bigint(request.limit), after,
      as_bigint(below.rows), as_bigint(below.visited), text_array(below.keys),
      text_array(without.exchanges), text_array(without.exchange), text_array(without.routing_key),
      as_bigint(request.due_limit), request.max_delay.count(), as_bigint(sure_to_fit(request)),
      below.to, up_to.value_or(last_id)));
}

// Which of the larger bodies fit beside those that have come, in the order of the parts.
std::vector<message*> also_inline(read_answer& answer, const read_request& request) {
  std::vector<message*> chosen;
  std::size_t used = 0;
  const std::array parts{&answer.rows, &answer.due, &answer.below};
  for (const auto* part : parts) {
    for (const message& m : *part) used += m.body_loaded ? m.body_size + m.headers_size : 0;
  }
  for (auto* part : parts) {
    for (message& m : *part) {
      const std::size_t size = m.body_size + m.headers_size;
      if (m.body_loaded || size > request.inline_row_bytes) continue;
      if (used + size > request.inline_total_bytes) return chosen;
      used += size;
      chosen.push_back(&m);
    }
  }
  return chosen;
}

// A body never changes, so it need not be of the same snapshot as its row. A row that is gone by
// then stays without.
void load_larger_bodies(session& db, const statement& sql, const read_request& request,
                        read_answer& answer) {
  const std::vector<message*> rows = also_inline(answer, request);
  if (rows.empty()) return;
  std::vector<row_ref> refs;
  refs.reserve(rows.size());
  for (const message* m : rows) refs.push_back(m->ref);
  auto row = rows.begin();
  for (loaded_body& b : decode_bodies(db.run(sql, ids_of(refs), message_ids_of(refs)))) {
    row = std::find_if(row, rows.end(), [&](const message* m) { return m->ref == b.ref; });
    if (row == rows.end()) return;
    message& m = **row;
    m.body = std::move(b.body);
    m.headers = std::move(b.headers);
    m.body_size = m.body.size();
    m.headers_size = m.headers ? m.headers->size() : 0;
    m.body_loaded = true;
  }
}

bool contains(const std::vector<row_ref>& rows, const row_ref& ref) {
  return std::ranges::binary_search(rows, ref);
}

settle_answer run_settle(session& db, const store_statements& sql, const statement& write,
                         locked_rows& locks, const std::vector<row_ref>& rows) {
  settle_answer answer;
  answer.locked = locks.write_others(db, sql.locked, rows, [&](const std::vector<row_ref>& locked) {
    std::vector<row_ref> free = rows;
    std::erase_if(free, [&](const row_ref& ref) { return contains(locked, ref); });
    answer.changed = db.run(write, ids_of(free), message_ids_of(free)).affected_rows();
  });
  return answer;
}

std::vector<row_ref> run_decide(session& db, const statement& sql, std::int64_t epoch,
                                const std::vector<decision>& decisions,
                                const std::vector<row_ref>& without) {
  std::vector<row_ref> refs;
  std::vector<std::int64_t> attempts, retry_in;
  std::vector<std::string> status, errors;
  for (const auto& d : decisions) {
    if (contains(without, d.ref)) continue;
    refs.push_back(d.ref);
    attempts.push_back(d.attempts);
    status.emplace_back(to_string(d.what));
    retry_in.push_back(d.retry_in.count());
    errors.push_back(storable_text(d.last_error, last_error_limit));
  }
  return decode_refs(db.run(sql, epoch, ids_of(refs), message_ids_of(refs), bigint_array(attempts),
                            text_array(status), bigint_array(retry_in), text_array(errors)));
}

}  // namespace

class pg_store::impl {
 public:
  impl(const boost::asio::any_io_executor& executor, const pg_options& options)
      : delete_on_ack_(options.delete_on_ack),
        keep_dead_keys_(options.keep_dead_keys),
        sql_(std::make_shared<const store_statements>(options.schema)),
        reading_(executor, reading_lane(options)),
        writing_(executor, lane_for(options, "pg-write", "1s")) {}

  const bool delete_on_ack_;
  const bool keep_dead_keys_;
  const std::shared_ptr<const store_statements> sql_;
  // Shared with the jobs: one may outlive us in the queue.
  const std::shared_ptr<purge_pass> purge_pass_ = std::make_shared<purge_pass>();
  // Likewise, of the reading jobs.
  const std::shared_ptr<writers_watch> writers_ = std::make_shared<writers_watch>();
  // Of the writing ones.
  const std::shared_ptr<locked_rows> locks_ = std::make_shared<locked_rows>();
  lane reading_;
  lane writing_;

 private:
  // A read that has drawn a transaction id, and tidied up a page on its way, would wait for the
  // disk; there is nothing in it that could be lost.
  static lane_options reading_lane(const pg_options& options) {
    lane_options lane = lane_for(options, "pg-read", "5s");
    lane.settings.emplace_back("synchronous_commit", "off");
    return lane;
  }

  static lane_options lane_for(const pg_options& options, std::string name,
                               std::string lock_timeout) {
    lane_options lane;
    lane.name = std::move(name);
    lane.url = options.url;
    lane.application_name = options.application_name;
    lane.settings = plan_settings();
    lane.settings.emplace_back("statement_timeout",
                               std::to_string(options.statement_timeout.count()) + "ms");
    lane.limits.statement = options.answer_within;
    // ALTER TABLE, VACUUM FULL: give way and try again instead of standing in the queue of locks.
    // What writes has rows that go on beside one that is locked.
    lane.settings.emplace_back("lock_timeout", std::move(lock_timeout));
    lane.jitter = options.jitter;
    lane.on_query = options.on_query;
    lane.on_reconnect = options.on_reconnect;
    return lane;
  }
};

pg_store::pg_store(const boost::asio::any_io_executor& executor, const pg_options& options)
    : impl_(std::make_unique<impl>(executor, options)) {}

pg_store::~pg_store() = default;

void pg_store::stop(std::function<void()> closed) {
  // Both are told before either is waited for; whoever is last says so.
  auto other_is_closed = std::make_shared<bool>(false);
  const auto one_is_closed = [other_is_closed, closed = std::move(closed)] {
    if (std::exchange(*other_is_closed, true)) closed();
  };
  impl_->reading_.stop(one_is_closed);
  impl_->writing_.stop(one_is_closed);
}

std::vector<db_call> pg_store::calls() const {
  std::vector<db_call> all;
  for (const auto* lane : {&impl_->reading_, &impl_->writing_}) {
    if (auto call = lane->current_call()) all.push_back(std::move(*call));
  }
  return all;
}

void pg_store::read(read_request request, handler<read_answer> done) {
  impl_->reading_.submit<read_answer>(
      "read",
      [sql = impl_->sql_, writers = impl_->writers_, request = std::move(request)](session& db) {
        const std::uint64_t ended = writers->ended_below(db, sql->writers, request);  // first
        const slice part = slice_of(db, *sql, request);
        auto answer = run_read(db, *sql, request, part.up_to);
        answer.up_to = part.up_to;
        answer.snap.next_xid = std::max(answer.snap.next_xid, part.next_xid);
        answer.snap.xmin = std::max(answer.snap.xmin, ended);
        load_larger_bodies(db, sql->load_bodies, request, answer);
        return answer;
      },
      std::move(done));
}

void pg_store::load_bodies(std::vector<row_ref> rows, handler<std::vector<loaded_body>> done) {
  impl_->reading_.submit<std::vector<loaded_body>>(
      "load_bodies",
      [sql = impl_->sql_, rows = std::move(rows)](session& db) {
        return decode_bodies(db.run(sql->load_bodies, ids_of(rows), message_ids_of(rows)));
      },
      std::move(done));
}

void pg_store::load_failed(std::int64_t after, bool dead_too, std::size_t limit,
                           handler<std::vector<failed_row>> done) {
  impl_->reading_.submit<std::vector<failed_row>>(
      "load_failed",
      [sql = impl_->sql_, after, dead_too, limit](session& db) {
        return decode_failed(db.run(sql->load_failed, after, dead_too, as_bigint(limit)));
      },
      std::move(done));
}

void pg_store::load_pauses(handler<std::vector<pause_in_force>> done) {
  impl_->reading_.submit<std::vector<pause_in_force>>(
      "load_pauses",
      [sql = impl_->sql_](session& db) {
        // Asked each time: the schema may be brought to version 2 meanwhile.
        if (!db.run(sql->can_pause)[0][0].as<bool>()) return std::vector<pause_in_force>{};
        return decode_pauses(db.run(sql->load_pauses));
      },
      std::move(done));
}

void pg_store::settle(std::vector<row_ref> rows, handler<settle_answer> done) {
  std::sort(rows.begin(), rows.end());
  impl_->writing_.submit<settle_answer>(
      "settle",
      [sql = impl_->sql_, locks = impl_->locks_, remove = impl_->delete_on_ack_,
       rows = std::move(rows)](session& db) {
        return run_settle(db, *sql, remove ? sql->delete_sent : sql->mark_sent, *locks, rows);
      },
      std::move(done));
}

void pg_store::decide(std::int64_t epoch, std::vector<decision> decisions,
                      handler<decide_answer> done) {
  std::sort(decisions.begin(), decisions.end(),
            [](const decision& a, const decision& b) { return a.ref < b.ref; });
  impl_->writing_.submit<decide_answer>(
      "decide",
      [sql = impl_->sql_, locks = impl_->locks_, epoch,
       decisions = std::move(decisions)](session& db) {
        std::vector<row_ref> rows;
        for (const auto& d : decisions) rows.push_back(d.ref);
        decide_answer answer;
        answer.locked =
            locks->write_others(db, sql->locked, rows, [&](const std::vector<row_ref>& locked) {
              answer.changed = run_decide(db, sql->decide, epoch, decisions, locked);
            });
        return answer;
      },
      std::move(done));
}

// On the writing lane, so that a lone row is never read late because of it; marks can wait.
void pg_store::measure(std::vector<id_range> where, handler<backlog> done) {
  impl_->writing_.submit<backlog>(
      "measure",
      [sql = impl_->sql_, where = std::move(where)](session& db) {
        const auto [first, last] = arrays_of(where);
        return decode_backlog(
            db.run(sql->measure, exact_count_limit, first, last, dead_rows_asked));
      },
      std::move(done));
}

void pg_store::purge(std::chrono::milliseconds sent_before, std::chrono::milliseconds dead_before,
                     std::size_t limit, handler<std::size_t> done) {
  impl_->writing_.submit<std::size_t>(
      "purge",
      [sql = impl_->sql_, pass = impl_->purge_pass_, keep = impl_->keep_dead_keys_, sent_before,
       dead_before, limit](session& db) {
        std::size_t purged = 0;
        for (int page = 0; page < purge_pages && purged < limit; ++page) {
          const auto room = limit - purged;
          const auto got =
              decode_purge(db.run(sql->purge, pass->next(purge_pass::time_point::clock::now()),
                                  as_bigint(room), sent_before.count(), dead_before.count(), keep));
          purged += got.purged;
          // Of the table, or of what is old enough.
          const bool end = got.seen < room || (got.purged == 0 && got.young > 0);
          pass->looked_at(got.last_id, got.stays, end);
          if (end) break;
        }
        return purged;
      },
      std::move(done));
}

void pg_store::rest(bool on) {
  impl_->reading_.rest(on);
  impl_->writing_.rest(on);
}

}  // namespace outboxd::outbox
