#include "tests/support/memory_store.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <functional>
#include <utility>

namespace outboxd::tests {

using outbox::message;
using outbox::row_ref;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t last_error_limit = 1000;
constexpr std::size_t too_late_limit = 100;
constexpr std::size_t too_late_visited = 1000;

// Bodies and headers in the order of the parts, as long as they fit.
void keep_what_is_inline(outbox::read_answer& answer, const outbox::read_request& request) {
  std::size_t running = 0;
  const auto strip = [](message& m) {
    m.body_loaded = false;
    m.body.clear();
    m.headers.reset();
  };
  for (auto* part : {&answer.rows, &answer.due, &answer.below}) {
    for (auto& m : *part) {
      const auto size = m.body_size + m.headers_size;
      const bool small = size <= request.inline_row_bytes;
      if (small) running += size;
      if (!small || running > request.inline_total_bytes) strip(m);
    }
  }
  std::ranges::for_each(answer.too_late, strip);
}

row_status status_after(const outbox::decision& d) {
  if (d.what == outbox::fate::pending) return row_status::pending;
  return d.what == outbox::fate::dead ? row_status::dead : row_status::deferred;
}

bool lies_in(const std::vector<outbox::id_range>& ranges, std::int64_t id) {
  return std::ranges::any_of(
      ranges, [id](const outbox::id_range& r) { return r.first <= id && id <= r.last; });
}

bool goes_to(const message& m, const outbox::destination& d) {
  return m.exchange == d.exchange && (!d.routing_key || m.routing_key == *d.routing_key);
}

bool asked_for(const message& m, const outbox::scan& scan) {
  if (!scan.keys.empty()) {
    return m.ordering_key && std::ranges::find(scan.keys, *m.ordering_key) != scan.keys.end();
  }
  return m.ordering_key || std::ranges::none_of(scan.without, [&](const outbox::destination& d) {
           return goes_to(m, d);
         });
}

}  // namespace

memory_store::memory_store(boost::asio::any_io_executor executor)
    : executor_(std::move(executor)) {}

void memory_store::fail_next(std::string operation, base::failure why, effect what) {
  faults_.push_back({std::move(operation), std::move(why), what});
}

void memory_store::release_answers() {
  holding_ = false;
  for (auto& answer : std::exchange(held_, {})) boost::asio::post(executor_, std::move(answer));
}

std::size_t memory_store::calls(const std::string& operation) const {
  const auto it = calls_.find(operation);
  return it == calls_.end() ? 0 : it->second;
}

template <typename T>
void memory_store::answer(const std::string& operation, handler<T> done,
                          const std::function<T()>& statement) {
  ++calls_[operation];
  const auto planned =
      std::ranges::find_if(faults_, [&](const fault& f) { return f.operation == operation; });
  auto outcome = [&]() -> base::result<T> {
    if (planned == faults_.end()) return statement();
    if (planned->what == effect::done) statement();
    auto why = std::move(planned->why);
    faults_.erase(planned);
    return why;
  }();
  auto deliver = [done = std::move(done), outcome = std::move(outcome)]() mutable {
    done(std::move(outcome));
  };
  if (holding_) {
    held_.push_back(std::move(deliver));
  } else {
    boost::asio::post(executor_, std::move(deliver));
  }
}

// ---------------------------------------------------------------------------------------- reading

message memory_store::seen_now(const memory_row& row) const {
  message m = row.data;
  m.body_loaded = true;
  m.sent_before = row.sent_at.has_value();
  m.age = duration_cast<microseconds>(now_ - (m.sent_before ? waits_since(row) : m.created_at));
  if (row.failing_since) m.failing_for = duration_cast<microseconds>(now_ - *row.failing_since);
  m.deferred = row.status == row_status::deferred;
  return m;
}

// Since when it should be out.
memory_store::time_point memory_store::waits_since(const memory_row& row) const {
  const auto written = row.data.created_at;
  if (!row.sent_at) return std::max(written, row.not_before.value_or(written));
  return row.failing_since.value_or(row.due_at.value_or(written));
}

template <typename Wanted>
std::vector<message> memory_store::select(std::size_t limit, Wanted wanted) const {
  std::vector<message> found;
  for (const auto& [id, row] : rows_) {
    if (found.size() == limit) break;
    if (visible(row) && wanted(row)) found.push_back(seen_now(row));
  }
  return found;
}

outbox::read_answer memory_store::run_read(const outbox::read_request& request) const {
  outbox::read_answer answer;
  answer.epoch = epoch_;
  answer.snap = {open_.empty() ? next_transaction_ : *open_.begin(), next_transaction_};

  if (request.to) answer.up_to = request.to;
  if (request.span > 0 && !request.to && next_id_ - 1 - request.frontier > request.span)
    answer.up_to = request.frontier + request.span;
  const auto to = answer.up_to.value_or(outbox::last_id);
  const auto is_open = [](const memory_row& row) { return row.status == row_status::pending; };
  answer.rows = select(request.limit, [&](const memory_row& row) {
    const auto id = row.data.ref.id;
    return is_open(row) && id <= to && (id > request.frontier || lies_in(request.gaps, id));
  });
  if (request.below) run_scan(*request.below, request.frontier, answer);
  run_deferred(request, answer);
  keep_what_is_inline(answer, request);
  return answer;
}

void memory_store::run_scan(const outbox::scan& scan, std::int64_t frontier,
                            outbox::read_answer& answer) const {
  answer.below_to = std::min(frontier, scan.to);
  std::size_t visited = 0;
  for (auto it = rows_.upper_bound(scan.after); it != rows_.end() && it->first <= answer.below_to;
       ++it) {
    if (it->second.status != row_status::pending || !visible(it->second)) continue;
    ++visited;
    if (asked_for(it->second.data, scan)) answer.below.push_back(seen_now(it->second));
    if (visited == scan.visited || answer.below.size() == scan.rows) {
      answer.below_to = it->first;
      return;
    }
  }
}

void memory_store::run_deferred(const outbox::read_request& request,
                                outbox::read_answer& answer) const {
  std::map<std::pair<time_point, std::int64_t>, const memory_row*> deferred;
  for (const auto& [id, row] : rows_) {
    if (row.status == row_status::deferred && visible(row)) deferred[{*row.due_at, id}] = &row;
  }
  for (const auto& [place, row] : deferred) {
    if (place.first > now_) {
      answer.next_due_in = duration_cast<milliseconds>(place.first - now_);
      break;
    }
    if (answer.due.size() < request.due_limit) answer.due.push_back(seen_now(*row));
  }
  if (request.max_delay == milliseconds(0)) return;
  std::size_t visited = 0;
  for (auto it = deferred.rbegin(); it != deferred.rend(); ++it) {
    const auto& [place, row] = *it;
    if (place.first <= now_ + request.max_delay || visited++ == too_late_visited) break;
    if (answer.too_late.size() == too_late_limit) break;
    if (row->data.attempts == 0) answer.too_late.push_back(seen_now(*row));
  }
}

void memory_store::read(outbox::read_request request, handler<outbox::read_answer> done) {
  answer<outbox::read_answer>("read", std::move(done), [&] { return run_read(request); });
}

memory_row* memory_store::open_row(const row_ref& ref) {
  const auto it = rows_.find(ref.id);
  if (it == rows_.end() || it->second.data.ref != ref || !visible(it->second)) return nullptr;
  const auto status = it->second.status;
  return status == row_status::pending || status == row_status::deferred ? &it->second : nullptr;
}

void memory_store::load_bodies(std::vector<row_ref> rows,
                               handler<std::vector<outbox::loaded_body>> done) {
  answer<std::vector<outbox::loaded_body>>("load_bodies", std::move(done), [&] {
    std::vector<outbox::loaded_body> bodies;
    for (const auto& ref : rows) {
      if (const auto* row = open_row(ref))
        bodies.push_back({ref, row->data.body, row->data.headers});
    }
    return bodies;
  });
}

void memory_store::load_failed(std::int64_t after, bool dead_too, std::size_t limit,
                               handler<std::vector<outbox::failed_row>> done) {
  answer<std::vector<outbox::failed_row>>("load_failed", std::move(done), [&] {
    std::vector<outbox::failed_row> failed;
    for (auto it = rows_.upper_bound(after); it != rows_.end() && failed.size() < limit; ++it) {
      const auto& row = it->second;
      const auto& m = row.data;
      const bool waits = row.status == row_status::deferred && m.attempts > 0;
      const bool dead = row.status == row_status::dead && m.ordering_key;
      if (!visible(row) || !(waits || (dead_too && dead))) continue;
      failed.push_back({m.ref, dead, m.exchange, m.routing_key, m.ordering_key});
    }
    return failed;
  });
}

void memory_store::load_pauses(handler<std::vector<outbox::pause_in_force>> done) {
  answer<std::vector<outbox::pause_in_force>>("load_pauses", std::move(done), [&] {
    std::vector<outbox::pause_in_force> in_force;
    for (const paused& p : pauses_) {
      if (p.ends_at && *p.ends_at <= now_) continue;
      in_force.push_back(
          {p.scope, p.reason, "operator", duration_cast<milliseconds>(now_ - p.at), std::nullopt});
      if (p.ends_at) in_force.back().ends_in = duration_cast<milliseconds>(*p.ends_at - now_);
    }
    return in_force;
  });
}

void memory_store::settle(std::vector<row_ref> rows, handler<outbox::settle_answer> done) {
  answer<outbox::settle_answer>("settle", std::move(done), [&] {
    outbox::settle_answer answer;
    for (const auto& ref : rows) {
      if (locks_.contains(ref.id)) {
        answer.locked.push_back(ref);
        continue;
      }
      auto* row = open_row(ref);
      if (row == nullptr) continue;
      ++answer.changed;
      if (delete_on_ack_) {
        rows_.erase(ref.id);
      } else {
        row->status = row_status::sent;
        row->sent_at = now_;
      }
    }
    return answer;
  });
}

void memory_store::decide(std::int64_t epoch, std::vector<outbox::decision> decisions,
                          handler<outbox::decide_answer> done) {
  answer<outbox::decide_answer>("decide", std::move(done), [&] {
    outbox::decide_answer answer;
    if (epoch != epoch_) return answer;
    for (const auto& d : decisions) {
      if (locks_.contains(d.ref.id)) {
        answer.locked.push_back(d.ref);
        continue;
      }
      auto* row = undecided_row(d);
      if (row == nullptr) {
        if (is_decided(d)) answer.changed.push_back(d.ref);
        continue;
      }
      answer.changed.push_back(d.ref);
      row->status = status_after(d);
      if (d.what == outbox::fate::pending) {
        if (!row->sent_at) row->due_at.reset();
        continue;
      }
      row->due_at = d.what == outbox::fate::dead ? now_ : now_ + d.retry_in;
      if (!row->failing_since) row->failing_since = now_;
      ++row->data.attempts;
      row->last_error = d.last_error.substr(0, last_error_limit);
    }
    return answer;
  });
}

// The row as it is before the decision, or null.
memory_row* memory_store::undecided_row(const outbox::decision& d) {
  auto* row = open_row(d.ref);
  return row != nullptr && row->data.attempts == d.attempts ? row : nullptr;
}

// Whether the row is as the decision leaves it.
bool memory_store::is_decided(const outbox::decision& d) const {
  const auto* row = find(d.ref.id);
  return row != nullptr && row->data.ref == d.ref && row->status == status_after(d) &&
         row->data.attempts == d.attempts + 1 &&
         row->last_error == d.last_error.substr(0, last_error_limit);
}

std::map<std::string, std::int64_t> memory_store::run_dead_reasons() const {
  std::map<std::string, std::int64_t> all;
  std::int64_t asked = 0;
  for (auto it = rows_.rbegin(); it != rows_.rend() && asked < outbox::dead_rows_asked; ++it) {
    const auto& row = it->second;
    if (row.status != row_status::dead) continue;
    ++asked;
    const std::string word = row.last_error.substr(0, row.last_error.find(':'));
    const bool ours = !word.empty() && word.size() <= 32 &&
                      word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
    ++all[ours ? word : "other"];
  }
  return all;
}

outbox::backlog memory_store::run_measure(const std::vector<outbox::id_range>& where) const {
  outbox::backlog b;
  b.deferred = static_cast<std::int64_t>(count(row_status::deferred));
  b.dead = static_cast<std::int64_t>(count(row_status::dead));
  std::optional<time_point> oldest;
  for (const auto& [id, row] : rows_) {
    const bool pending = row.status == row_status::pending && visible(row) && lies_in(where, id);
    const bool failed = row.status == row_status::deferred && row.data.attempts > 0;
    const bool due = row.status == row_status::deferred && *row.due_at <= now_;
    if (pending) ++b.pending;
    if (!visible(row) || (!pending && !failed && !due)) continue;
    const auto since = waits_since(row);
    oldest = std::min(oldest.value_or(since), since);
  }
  if (oldest) b.oldest_due_age = duration_cast<microseconds>(now_ - *oldest);
  b.dead_reasons = run_dead_reasons();
  return b;
}

void memory_store::measure(std::vector<outbox::id_range> where, handler<outbox::backlog> done) {
  answer<outbox::backlog>("measure", std::move(done), [&] { return run_measure(where); });
}

void memory_store::purge(milliseconds sent_before, milliseconds dead_before, std::size_t limit,
                         handler<std::size_t> done) {
  answer<std::size_t>("purge", std::move(done), [&] {
    std::size_t purged = 0;
    for (auto it = rows_.begin(); it != rows_.end() && purged < limit;) {
      const auto& row = it->second;
      const bool old = (row.status == row_status::sent && *row.sent_at < now_ - sent_before) ||
                       (row.status == row_status::dead && *row.due_at < now_ - dead_before);
      it = old ? rows_.erase(it) : std::next(it);
      purged += old ? 1 : 0;
    }
    return purged;
  });
}

}  // namespace outboxd::tests
