#include "relay/core.hpp"

#include <boost/assert.hpp>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace outboxd::relay {

namespace {

using namespace std::chrono_literals;

// One statement's worth of marks: more gains nothing, and a longer statement delays the next one.
constexpr std::size_t marks_at_once = 5'000;

constexpr base::backoff store_backoff{100ms, 5s};

verdict verdict_of_close(int code) {
  switch (code) {
    case 403:
      return verdict::forbidden;
    case 404:
      return verdict::no_exchange;
    default:
      return verdict::refused;
  }
}

outbox::fate fate_of(verdict v) {
  switch (v) {
    case verdict::refused:
    case verdict::too_large:
    case verdict::invalid:
      return outbox::fate::dead;
    default:
      return outbox::fate::deferred;
  }
}

std::string describe(verdict what, int code, const std::string& text) {
  std::string s(to_string(what));
  if (code != 0) s += ": " + std::to_string(code);
  if (!text.empty()) s += (code != 0 ? " " : ": ") + text;
  return s;
}

}  // namespace

core::core(options opts, std::size_t lanes, std::function<double()> random,
           std::size_t least_capacity)
    : opts_(opts),
      capacity_(std::max<std::size_t>(least_capacity, 2 * opts.max_in_flight + opts.batch_size)),
      random_(std::move(random)),
      window_(lanes, opts.max_in_flight),
      wake_(opts.notify, opts.poll_interval) {}

// ---- the lead ----

void core::lead_gained(std::int64_t epoch, time_point now) {
  epoch_ = epoch;
  keys_.reset();  // what was told after the last lead was lost
  due_at_.reset();
  start_over(now);
}

void core::lead_lost() {
  epoch_.reset();
  wake_.reset();
  wake_lock_todo_.reset();
  read_all_ = false;
  for (row* r : undecided_) r->state = row_state::queued;  // another leader will decide
  undecided_.clear();
  drop_unpublished();
}

void core::drain() {
  draining_ = true;
  drop_unpublished();
}

bool core::drained() const {
  return draining_ && window_.in_flight() == 0 && acked_.empty() && settling_.empty() &&
         undecided_.empty() && deciding_.empty();
}

void core::drop_unpublished() {
  keys_.reset();
  std::vector<row*> unpublished;
  for (const auto& [ref, r] : rows_.all()) {
    if (r->state == row_state::queued || r->state == row_state::bodiless ||
        r->state == row_state::ready) {
      unpublished.push_back(r.get());
    }
  }
  for (row* r : unpublished) drop(*r);
}

// ---- a row's way ----

void core::apply(const key_order::change& c) {
  if (c.down != nullptr) deactivate(*c.down);
  for (row* r : c.evicted) drop(*r);
  if (c.up != nullptr) activate(*c.up);
}

// The row is next of its key, or has none.
void core::activate(row& r) {
  if (r.msg.body_size > opts_.max_message_size) {
    failed(r, verdict::too_large, 0,
           std::to_string(r.msg.body_size) +
               " bytes are more than OUTBOX_MAX_MESSAGE_SIZE allows (" +
               std::to_string(opts_.max_message_size) + ")");
  } else if (r.msg.body_loaded) {
    window_.add(r);
  } else {
    r.state = row_state::bodiless;
    bodiless_.insert(&r);
  }
}

void core::deactivate(row& r) {
  if (r.state == row_state::ready) window_.remove(r);
  if (r.state == row_state::bodiless) bodiless_.erase(&r);
  r.state = row_state::queued;
}

// Out of memory, without a word to its key.
void core::drop(row& r) {
  deactivate(r);
  rows_.remove(r);
}

verdict core::landed(const outcome& o) {
  row* r = rows_.find(o.ref);
  BOOST_ASSERT_MSG(r != nullptr && r->state == row_state::in_flight,
                   "an outcome for a row that is not in flight");
  window_.landed(*r);
  const verdict what = o.what == verdict::unknown ? doubted(*r, o) : o.what;
  if (what == verdict::confirmed) {
    confirmed(*r);
  } else if (!leading() || (what == verdict::unknown && draining_)) {
    r->state = row_state::queued;  // the table still says pending: whoever leads next will send it
    if (r->msg.ordering_key) apply(keys_.finish(*r));
    drop(*r);
  } else if (what == verdict::unknown) {
    activate(*r);
  } else {
    failed(*r, what, o.code, o.text);
  }
  return what;
}

// Nothing is known of the row, except when its channel was closed twice while it was alone on it.
verdict core::doubted(row& r, const outcome& o) {
  if (o.why != doubt::channel_closed) return verdict::unknown;
  if (r.suspect && ++r.closed_alone >= 2) return verdict_of_close(o.code);
  r.suspect = true;
  return verdict::unknown;
}

void core::confirmed(row& r) {
  rows_.drop_body(r);
  r.state = row_state::acked;
  acked_.push_back(&r);
  if (r.msg.ordering_key) apply(keys_.finish(r));
}

void core::failed(row& r, verdict what, int code, const std::string& text) {
  const int attempts = r.msg.attempts + 1;
  rows_.drop_body(r);
  r.state = row_state::deciding;
  r.why = what;
  r.decision = outbox::decision{
      .ref = r.msg.ref,
      .attempts = r.msg.attempts,
      .what = fate_of(what),
      .retry_in = base::backoff{opts_.retry_min, opts_.retry_max}.after(attempts, random_()),
      .last_error = describe(what, code, text)};
  undecided_.push_back(&r);
}

// ---- writing back ----

void core::settled(const base::result<std::size_t>& count, time_point now) {
  if (count.has_error()) {
    acked_.insert(acked_.begin(), settling_.begin(), settling_.end());
    settling_.clear();
    store_failed(count.error(), now);
    return;
  }
  store_worked();
  for (row* r : settling_) written(*r);
  settling_.clear();
}

std::vector<died> core::decided(const base::result<std::vector<outbox::row_ref>>& changed,
                                time_point now) {
  std::vector<died> dead;
  std::vector<row*> rows = std::exchange(deciding_, {});
  if (changed.has_error() && epoch_ == decide_epoch_) {
    undecided_.insert(undecided_.begin(), rows.begin(), rows.end());
    store_failed(changed.error(), now);
    return dead;
  }
  const bool in_doubt = changed.has_error();
  // Under an earlier lead: another leader may have been there since, and sent the row.
  const bool outdated = epoch_ != decide_epoch_;
  std::unordered_set<outbox::row_ref, outbox::row_ref_hash> applied;
  if (!in_doubt) applied.insert(changed->begin(), changed->end());
  for (row* r : rows) {
    const bool done = applied.contains(r->msg.ref);
    const bool is_dead = done && r->decision->what == outbox::fate::dead;
    const bool is_deferred = done && !is_dead;
    if (is_dead) dead.push_back({r->msg.ref, r->why, r->decision->last_error});
    if (is_deferred)
      due_at_ = std::min(due_at_.value_or(time_point::max()), now + r->decision->retry_in);
    if (r->msg.ordering_key) {
      // A decision that changed nothing was overtaken by somebody else's: the row is read again and
      // obeyed.
      apply(is_dead                    ? keys_.finish(*r)
            : is_deferred && !outdated ? keys_.fail(*r)
                                       : keys_.forget(*r));
    }
    if (done) {
      written(*r);
    } else {
      rows_.remove(*r);
    }
  }
  // The holds may have been read before this decision took effect.
  if (leading() && outdated) start_over(now);
  if (!in_doubt) store_worked();
  return dead;
}

// The table has the last word on this row now.
void core::written(row& r) {
  if (holds_out_) written_since_holds_asked_.insert(r.msg.ref);
  rows_.remove(r);
}

void core::poll_write(std::vector<action>& todo) {
  if (!settling_.empty() || !deciding_.empty()) return;
  if (store_retry_at_) return;
  const bool decide = !undecided_.empty() && leading() && (acked_.empty() || decide_next_);
  if (decide) {
    deciding_ = std::exchange(undecided_, {});
    decide_epoch_ = *epoch_;
    do_decide d{.epoch = *epoch_, .decisions = {}};
    for (const row* r : deciding_) d.decisions.push_back(*r->decision);
    todo.emplace_back(std::move(d));
  } else if (!acked_.empty()) {
    const auto end =
        acked_.begin() + static_cast<std::ptrdiff_t>(std::min(acked_.size(), marks_at_once));
    settling_.assign(acked_.begin(), end);
    acked_.erase(acked_.begin(), end);
    do_settle s;
    for (const row* r : settling_) s.rows.push_back(r->msg.ref);
    std::sort(s.rows.begin(), s.rows.end());  // every writer locks rows in the same order
    todo.emplace_back(std::move(s));
  }
  decide_next_ = !decide;
}

void core::store_failed(const base::failure& f, time_point now) {
  store_retry_at_ = now + store_backoff.after(++store_failures_, random_());
  // After a crash the database may hand out ids again that are below the frontier.
  if (f.kind == base::failure_kind::unavailable) start_over(now);
}

// ---- publishing ----

void core::poll_publish(time_point now, std::vector<action>& todo) {
  if (!leading() || draining_) return;
  while (row* r = window_.next()) {
    r->published_at = now;
    todo.emplace_back(do_publish{r});
  }
}

void core::poll(time_point now, std::vector<action>& todo) {
  if (store_retry_at_ && *store_retry_at_ <= now) store_retry_at_.reset();
  poll_publish(now, todo);
  poll_write(todo);
  poll_bodies(todo);
  poll_read(now, todo);
}

std::optional<time_point> core::next_poll() const {
  std::optional<time_point> next;
  const auto sooner = [&](const std::optional<time_point>& t) {
    if (t && (!next || *t < *next)) next = t;
  };
  if (reads_when_due()) {
    sooner(read_at_);
    sooner(due_at_);
    sooner(sweep_at_);
  }
  if (!store_retry_at_) return next;
  const bool waiting =
      next || !acked_.empty() || !undecided_.empty() || !bodiless_.empty() || !holds_known_;
  if (!waiting) return next;
  return next ? std::max(*next, *store_retry_at_) : *store_retry_at_;
}

std::optional<std::chrono::microseconds> core::oldest_age(time_point now) const {
  std::optional<std::chrono::microseconds> oldest;
  for (const auto& [ref, r] : rows_.all()) {
    if (r->state == row_state::acked) continue;
    const auto age =
        r->msg.age + std::chrono::duration_cast<std::chrono::microseconds>(now - r->read_at);
    oldest = std::max(oldest.value_or(age), age);
  }
  return oldest;
}

}  // namespace outboxd::relay
