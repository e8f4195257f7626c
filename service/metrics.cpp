#include "service/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "service/log.hpp"
#include "service/metrics_table.hpp"
#include "service/process_sample.hpp"
#include "service/version.hpp"

namespace outboxd::service {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using buckets = Histogram::BucketBoundaries;

const buckets delivery_buckets{.001, .0025, .005, .01, .025, .05, .1,  .25,  .5,
                               1,    2.5,   5,    10,  30,   60,  300, 1800, 7200};
const buckets round_trip_buckets{.0005, .001, .0025, .005, .01, .025, .05, .1,
                                 .25,   .5,   1,     2.5,  5,   10,   30};
const buckets batch_buckets{0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000};

double seconds(std::chrono::microseconds d) {
  return static_cast<double>(d.count()) / 1e6;
}

// The children of one labelled family, all made at the start; what is not known counts as `other`
// where there is such a child, so that a broker's code cannot grow the set.
template <typename T>
class by_label {
 public:
  void add(const std::string& value, T& child) { children_.emplace(value, &child); }
  T* find(std::string_view value) const {
    auto found = children_.find(value);
    if (found == children_.end()) found = children_.find("other");
    return found == children_.end() ? nullptr : found->second;
  }

 private:
  std::map<std::string, T*, std::less<>> children_;
};

// What happens with every message is added up here and handed on when somebody asks: the library
// synchronises with every call.
class tally {
 public:
  explicit tally(Counter& to) : to_(to) {}
  void add(double n) { sum_ += n; }
  void hand_on() { to_.Increment(std::exchange(sum_, 0)); }

 private:
  Counter& to_;
  double sum_ = 0;
};

class histogram_tally {
 public:
  histogram_tally(Histogram& to, const buckets& bounds)
      : to_(to), bounds_(bounds), counts_(bounds.size() + 1) {}

  void add(double value) {
    const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
    ++counts_[static_cast<std::size_t>(bucket)];
    sum_ += value;
  }
  void hand_on() {
    to_.ObserveMultiple(counts_, std::exchange(sum_, 0));
    std::ranges::fill(counts_, 0);
  }

 private:
  Histogram& to_;
  const buckets& bounds_;
  std::vector<double> counts_;
  double sum_ = 0;
};

}  // namespace

class metrics::impl {
 public:
  impl() {
    oldest_pending_age = &gauge_family("outbox_oldest_pending_age_seconds");
    gauge_family("outbox_build_info")
        .Add({{"version", std::string(version())}, {"revision", std::string(revision())}})
        .Set(1);
  }

  std::string text() {
    for (tally* t : {&published, &published_bytes, &confirmed}) t->hand_on();
    for (histogram_tally* t : {&delivery_latency, &confirm_latency}) t->hand_on();
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, registry_.Collect());
    return out.str();
  }

 private:
  prometheus::Registry registry_;

  prometheus::Family<Counter>& counter_family(std::string_view name) {
    const auto& row = metric(name);
    return prometheus::BuildCounter()
        .Name(std::string(row.name))
        .Help(std::string(row.help))
        .Register(registry_);
  }
  prometheus::Family<Gauge>& gauge_family(std::string_view name) {
    const auto& row = metric(name);
    return prometheus::BuildGauge()
        .Name(std::string(row.name))
        .Help(std::string(row.help))
        .Register(registry_);
  }
  prometheus::Family<Histogram>& histogram_family(std::string_view name) {
    const auto& row = metric(name);
    return prometheus::BuildHistogram()
        .Name(std::string(row.name))
        .Help(std::string(row.help))
        .Register(registry_);
  }

  Counter& counter(std::string_view name) { return counter_family(name).Add({}); }
  Gauge& gauge(std::string_view name) { return gauge_family(name).Add({}); }
  Histogram& histogram(std::string_view name, const buckets& bounds) {
    return histogram_family(name).Add({}, bounds);
  }

  by_label<Counter> counters(std::string_view name) {
    by_label<Counter> children;
    auto& family = counter_family(name);
    const auto& row = metric(name);
    for (const auto& value : split_values(row.known_values))
      children.add(value, family.Add({{std::string(row.label), value}}));
    return children;
  }
  by_label<Histogram> histograms(std::string_view name, const buckets& bounds) {
    by_label<Histogram> children;
    auto& family = histogram_family(name);
    const auto& row = metric(name);
    for (const auto& value : split_values(row.known_values))
      children.add(value, family.Add({{std::string(row.label), value}}, bounds));
    return children;
  }

 public:
  tally published{counter("outbox_messages_published_total")};
  tally confirmed{counter("outbox_messages_confirmed_total")};
  by_label<Counter> failed = counters("outbox_messages_failed_total");
  by_label<Counter> unknown = counters("outbox_messages_unknown_total");
  by_label<Counter> dead = counters("outbox_messages_dead_total");
  Counter& replayed = counter("outbox_messages_replayed_total");
  Counter& purged = counter("outbox_messages_purged_total");
  tally published_bytes{counter("outbox_published_bytes_total")};
  Counter& broker_reconnects = counter("outbox_broker_reconnects_total");
  by_label<Counter> channel_errors = counters("outbox_broker_channel_errors_total");
  Counter& blocked_seconds = counter("outbox_broker_blocked_seconds_total");
  Counter& db_reconnects = counter("outbox_db_reconnects_total");
  Counter& polls = counter("outbox_db_polls_total");
  Counter& notifications = counter("outbox_db_notifications_total");
  Counter& leadership_changes = counter("outbox_leadership_changes_total");
  by_label<Counter> log_messages = counters("outbox_log_messages_total");

  Gauge& pending = gauge("outbox_pending_messages");
  Gauge& deferred = gauge("outbox_deferred_messages");
  Gauge& dead_now = gauge("outbox_dead_messages");
  prometheus::Family<Gauge>* oldest_pending_age = nullptr;
  Gauge* oldest_pending_age_child = nullptr;
  Gauge& unconfirmed = gauge("outbox_unconfirmed_messages");
  Gauge& held_keys = gauge("outbox_held_keys");
  Gauge& held_destinations = gauge("outbox_held_destinations");
  Gauge& broker_connected = gauge("outbox_broker_connected");
  Gauge& broker_blocked = gauge("outbox_broker_blocked");
  Gauge& db_connected = gauge("outbox_db_connected");
  Gauge& leader = gauge("outbox_leader");
  Gauge& paused = gauge("outbox_paused");
  Gauge& schema_version = gauge("outbox_schema_version");

  histogram_tally delivery_latency{histogram("outbox_delivery_latency_seconds", delivery_buckets),
                                   delivery_buckets};
  histogram_tally confirm_latency{histogram("outbox_confirm_latency_seconds", round_trip_buckets),
                                  round_trip_buckets};
  by_label<Histogram> query_duration =
      histograms("outbox_db_query_duration_seconds", round_trip_buckets);
  Histogram& batch = histogram("outbox_batch_messages", batch_buckets);

  Counter& cpu_seconds = counter("process_cpu_seconds_total");
  Gauge& resident_memory = gauge("process_resident_memory_bytes");
  Gauge& virtual_memory = gauge("process_virtual_memory_bytes");
  Gauge& open_fds = gauge("process_open_fds");
  Gauge& max_fds = gauge("process_max_fds");
  Gauge& threads = gauge("process_threads");
  Gauge& start_time = gauge("process_start_time_seconds");

  void take(const relay::status& now);
  void take(const process_sample& now);
};

void metrics::impl::take(const relay::status& now) {
  using outbox::lead_state;
  const auto is_open = [](const relay::lane_status& lane) { return lane.open; };
  const auto is_blocked = [](const relay::lane_status& lane) { return lane.blocked; };
  const bool session = now.lead == lead_state::not_ready || now.lead == lead_state::standby ||
                       now.lead == lead_state::leading;
  const auto rows = now.backlog.value_or(outbox::backlog{});
  pending.Set(static_cast<double>(rows.pending));
  deferred.Set(static_cast<double>(rows.deferred));
  dead_now.Set(static_cast<double>(rows.dead));
  unconfirmed.Set(static_cast<double>(now.unconfirmed));
  held_keys.Set(static_cast<double>(now.held_keys));
  held_destinations.Set(static_cast<double>(now.holds.size()));
  paused.Set(static_cast<double>(now.pauses.size()));
  broker_connected.Set(!now.lanes.empty() &&
                       std::all_of(now.lanes.begin(), now.lanes.end(), is_open));
  broker_blocked.Set(std::any_of(now.lanes.begin(), now.lanes.end(), is_blocked));
  db_connected.Set(session && (now.lead != lead_state::leading || now.store_ok));
  leader.Set(now.lead == lead_state::leading);
  if (oldest_pending_age_child != nullptr) {
    oldest_pending_age->Remove(oldest_pending_age_child);
    oldest_pending_age_child = nullptr;
  }
  if (now.oldest_pending_age) {
    oldest_pending_age_child = &oldest_pending_age->Add({});
    oldest_pending_age_child->Set(seconds(*now.oldest_pending_age));
  }
}

void metrics::impl::take(const process_sample& now) {
  // A counter can only grow; what the kernel counts never shrinks.
  cpu_seconds.Increment(std::max(0.0, now.cpu_seconds - cpu_seconds.Value()));
  resident_memory.Set(now.resident_bytes);
  virtual_memory.Set(now.virtual_bytes);
  open_fds.Set(now.open_fds);
  max_fds.Set(now.max_fds);
  threads.Set(now.threads);
  start_time.Set(now.start_time_seconds);
}

metrics::metrics() : impl_(std::make_unique<impl>()) {}
metrics::~metrics() = default;

void metrics::published(std::size_t body_bytes) {
  impl_->published.add(1);
  impl_->published_bytes.add(static_cast<double>(body_bytes));
}

void metrics::confirmed(std::optional<std::chrono::microseconds> since_created,
                        std::chrono::microseconds since_publish) {
  impl_->confirmed.add(1);
  if (since_created) {
    impl_->delivery_latency.add(seconds(*since_created));
  } else {
    impl_->replayed.Increment();
  }
  impl_->confirm_latency.add(seconds(since_publish));
}

void metrics::failed(relay::verdict what) {
  if (auto* child = impl_->failed.find(to_string(what))) child->Increment();
}

void metrics::unknown(relay::doubt why) {
  if (auto* child = impl_->unknown.find(to_string(why))) child->Increment();
}

void metrics::died(relay::verdict why) {
  if (auto* child = impl_->dead.find(to_string(why))) child->Increment();
}

void metrics::read(std::size_t rows) {
  impl_->polls.Increment();
  impl_->batch.Observe(static_cast<double>(rows));
}

void metrics::notified() {
  impl_->notifications.Increment();
}
void metrics::lead_changed(bool) {
  impl_->leadership_changes.Increment();
}
void metrics::broker_reconnected() {
  impl_->broker_reconnects.Increment();
}

void metrics::broker_channel_error(int code) {
  impl_->channel_errors.find(std::to_string(code))->Increment();
}

void metrics::broker_blocked_for(std::chrono::microseconds duration) {
  impl_->blocked_seconds.Increment(seconds(duration));
}

void metrics::purged(std::size_t rows) {
  impl_->purged.Increment(static_cast<double>(rows));
}

void metrics::db_query(std::string_view operation, std::chrono::microseconds duration) {
  if (auto* child = impl_->query_duration.find(operation)) child->Observe(seconds(duration));
}

void metrics::db_reconnected() {
  impl_->db_reconnects.Increment();
}

void metrics::logged(base::severity level) {
  if (auto* child = impl_->log_messages.find(to_string(level))) child->Increment();
}

void metrics::schema_version(int version) {
  impl_->schema_version.Set(version);
}

std::string metrics::render(const relay::status& now) {
  impl_->take(now);
  if (const auto sample = sample_process()) impl_->take(*sample);
  return impl_->text();
}

}  // namespace outboxd::service
