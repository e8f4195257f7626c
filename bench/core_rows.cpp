// What the relay itself costs per row: the core alone, or the driver with it, between a table and a
// broker that cost nothing. Prints nanoseconds (CPU time) and allocations per row; making the rows,
// and counting what becomes of them, is not counted.
//
//   core_rows [core|driver] [keyless|keys|hot] [rows] [confirms that come at once]
//
// Instructions per row on any machine: the total divided by the rows of
//   valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured*'
//     --toggle-collect='*aside*' core_rows core keys 100000
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "bench/meter.hpp"
#include "relay/core.hpp"
#include "relay/relay.hpp"
#include "service/metrics.hpp"

// Not inlined: GCC takes the pair for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++outboxd::bench::allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

namespace outboxd::bench {
namespace {

namespace asio = boost::asio;

constexpr std::size_t lanes = 2;
constexpr std::size_t body_bytes = 200;

enum class keys { none, many, one };

struct load {
  keys kind = keys::none;
  std::size_t rows = 1'000'000;
  std::size_t confirms_at_once = 64;  // of a lane, as a read from the socket brings them
};

// A table that hands out its rows once, in order, and a broker that confirms in order: what both
// of the worlds below are made of.
class supply {
 public:
  explicit supply(const load& l) : keys_(l.kind), rows_(l.rows) {}

  outbox::read_answer answer(const outbox::read_request& request) {
    outbox::read_answer a;
    a.epoch = 1;
    a.snap = {.xmin = 100, .next_xid = 100};
    if (request.below) {
      a.below = rows_of(request.below->keys, request.below->after, request.frontier,
                        request.below->rows, a.below_to);
    }
    while (a.rows.size() < request.limit && made_ < rows_) a.rows.push_back(row(++made_));
    return a;
  }

  void settled(const std::vector<outbox::row_ref>& rows) { settled_ += rows.size(); }
  bool done() const { return settled_ == rows_; }
  std::size_t rows() const { return rows_; }

 private:
  outbox::message row(std::size_t id) const {
    outbox::message m;
    m.ref.id = static_cast<std::int64_t>(id);
    std::memcpy(m.ref.message_id.data, &id, sizeof id);
    m.exchange = "events";
    m.routing_key = "orders.created";
    if (keys_ == keys::many) m.ordering_key = "customer-" + std::to_string(id * 7919 % 10'000);
    if (keys_ == keys::one) m.ordering_key = "customer-1";
    m.body.assign(body_bytes, 'x');
    m.body_size = body_bytes;
    m.body_loaded = true;
    return m;
  }

  // Rows of these keys that were skipped for want of room.
  std::vector<outbox::message> rows_of(const std::vector<std::string>& wanted, std::int64_t after,
                                       std::int64_t frontier, std::size_t at_most,
                                       std::int64_t& to) const {
    std::vector<outbox::message> found;
    for (to = after; to < frontier && found.size() < at_most;) {
      outbox::message m = row(static_cast<std::size_t>(++to));
      if (wanted.empty() || std::ranges::find(wanted, *m.ordering_key) != wanted.end())
        found.push_back(std::move(m));
    }
    return found;
  }

  keys keys_;
  std::size_t rows_;
  std::size_t made_ = 0;
  std::size_t settled_ = 0;
};

relay::options options_for(const load& l) {
  relay::options o;
  o.pipelined = l.kind == keys::one;
  return o;
}

std::vector<relay::outcome> confirmed(std::deque<outbox::row_ref>& in_flight, std::size_t at_most) {
  std::vector<relay::outcome> batch;
  while (!in_flight.empty() && batch.size() < at_most) {
    batch.push_back({in_flight.front(), relay::verdict::confirmed, relay::doubt::none, 0, {}});
    in_flight.pop_front();
  }
  return batch;
}

// ---- the core alone ----

class core_world {
 public:
  explicit core_world(const load& l)
      : load_(l), supply_(l), core_(options_for(l), lanes, [] { return 0.5; }) {
    for (relay::lane_id lane = 0; lane < lanes; ++lane) core_.lane_opened(lane);
    core_.lead_gained(1, now_);
    poll();
    core_.failed_loaded(std::vector<outbox::failed_row>{}, now_);
  }

  [[gnu::noinline]] void run_measured() {
    meter_ = meter();
    meter_.go();
    while (!supply_.done()) turn();
    meter_.pause();
  }

  void print(const std::string& what) const { meter_.print(what, supply_.rows()); }

 private:
  // A read and a statement that marks take as long as some batches of confirms.
  void turn() {
    now_ += std::chrono::milliseconds(1);
    poll();
    for (int i = 0; i < 8; ++i) {
      for (const relay::outcome& o : confirm_aside()) core_.landed(o, now_);
      poll();
    }
    if (auto answer = answer_aside()) core_.read_answered(std::move(*answer), now_);
    if (const auto count = settle_aside()) core_.settled(outbox::settle_answer{*count, {}}, now_);
  }

  void poll() {
    core_.poll(now_, todo_);
    obey_aside();
    todo_.clear();
  }

  [[gnu::noinline]] void obey_aside() {
    const meter::aside aside(meter_);
    for (relay::action& a : todo_) {
      if (auto* p = std::get_if<relay::do_publish>(&a)) in_flight_.push_back(p->what->msg.ref);
      if (auto* r = std::get_if<relay::do_read>(&a)) read_ = std::move(r->request);
      if (auto* s = std::get_if<relay::do_settle>(&a)) settling_ = std::move(s->rows);
      if (std::holds_alternative<relay::do_load_pauses>(a))
        core_.pauses_loaded(std::vector<outbox::pause_in_force>{}, now_);
      if (std::holds_alternative<relay::do_try_wake_lock>(a)) core_.wake_lock_answered(true, now_);
    }
  }

  [[gnu::noinline]] std::vector<relay::outcome> confirm_aside() {
    const meter::aside aside(meter_);
    return confirmed(in_flight_, load_.confirms_at_once);
  }

  [[gnu::noinline]] std::optional<outbox::read_answer> answer_aside() {
    const meter::aside aside(meter_);
    if (!read_) return std::nullopt;
    return supply_.answer(*std::exchange(read_, std::nullopt));
  }

  [[gnu::noinline]] std::optional<std::size_t> settle_aside() {
    const meter::aside aside(meter_);
    if (settling_.empty()) return std::nullopt;
    supply_.settled(settling_);
    return std::exchange(settling_, {}).size();
  }

  load load_;
  supply supply_;
  relay::core core_;
  relay::time_point now_{std::chrono::hours(1)};
  std::vector<relay::action> todo_;
  std::deque<outbox::row_ref> in_flight_;
  std::optional<outbox::read_request> read_;
  std::vector<outbox::row_ref> settling_;
  meter meter_;
};

class silent_log final : public base::logger {
 public:
  void write(base::severity, std::string_view, std::span<const base::field>) override {}
};

class driver_world final : public outbox::store,
                           public outbox::leadership,
                           public relay::publisher {
 public:
  explicit driver_world(const load& l)
      : load_(l),
        supply_(l),
        relay_(context_.get_executor(), *this, *this, *this, options_for(l), log_, metrics_) {
    relay_.start();
  }

  [[gnu::noinline]] void run_measured() {
    meter_ = meter();
    meter_.go();
    while (!supply_.done()) context_.run_one();
    meter_.pause();
  }

  void print(const std::string& what) const { meter_.print(what, supply_.rows()); }

 private:
  [[gnu::noinline]] outbox::read_answer answer_aside(const outbox::read_request& request) {
    const meter::aside aside(meter_);
    return supply_.answer(request);
  }
  [[gnu::noinline]] std::vector<relay::outcome> confirm_aside(relay::lane_id lane) {
    const meter::aside aside(meter_);
    return confirmed(in_flight_.at(lane), load_.confirms_at_once);
  }

  // the table
  void read(outbox::read_request request, handler<outbox::read_answer> done) override {
    asio::post(context_, [answer = answer_aside(request), done = std::move(done)]() mutable {
      done(std::move(answer));
    });
  }
  void load_bodies(std::vector<outbox::row_ref>,
                   handler<std::vector<outbox::loaded_body>>) override {
    throw std::logic_error("every row comes with its body");
  }
  void load_failed(std::int64_t, bool, std::size_t,
                   handler<std::vector<outbox::failed_row>> done) override {
    nothing(std::move(done));
  }
  void load_pauses(handler<std::vector<outbox::pause_in_force>> done) override {
    nothing(std::move(done));
  }
  void settle(std::vector<outbox::row_ref> rows, handler<outbox::settle_answer> done) override {
    supply_.settled(rows);
    asio::post(context_, [n = rows.size(), done = std::move(done)] {
      done(outbox::settle_answer{n, {}});
    });
  }
  void decide(std::int64_t, std::vector<outbox::decision>,
              handler<outbox::decide_answer>) override {
    throw std::logic_error("no row fails");
  }
  void measure(std::vector<outbox::id_range>, handler<outbox::backlog> done) override {
    nothing(std::move(done));
  }
  void purge(std::chrono::milliseconds, std::chrono::milliseconds, std::size_t,
             handler<std::size_t> done) override {
    nothing(std::move(done));
  }
  template <typename T>
  void nothing(handler<T> done) {
    asio::post(context_, [done = std::move(done)] { done(T{}); });
  }

  // the lead
  void start(outbox::leadership_events& events) override {
    asio::post(context_, [&events] { events.lead_gained(1); });
  }
  void stop(std::function<void()>) override {}
  void rest(bool) override {}
  bool leads_for_certain() const override { return true; }
  void try_wake_lock(std::function<void(base::result<bool>)> done) override {
    asio::post(context_, [done = std::move(done)] { done(true); });
  }
  void release_wake_lock() override {}

  // the broker
  std::size_t lanes() const override { return bench::lanes; }
  void start(relay::publisher_events& events) override {
    events_ = &events;
    asio::post(context_, [this] {
      for (relay::lane_id lane = 0; lane < bench::lanes; ++lane) events_->lane_opened(lane);
    });
  }
  void abandon(const std::string&) override {}
  void want_quarantine(bool) override {}
  void publish(relay::lane_id lane, const outbox::message& m) override {
    auto& in_flight = in_flight_.at(lane);
    in_flight.push_back(m.ref);
    if (in_flight.size() == 1) confirm_later(lane);
  }
  void renew(relay::lane_id) override {}
  void stop(std::chrono::milliseconds, std::function<void()>) override {}

  void confirm_later(relay::lane_id lane) {
    asio::post(context_, [this, lane] {
      const auto batch = confirm_aside(lane);
      if (!in_flight_.at(lane).empty()) confirm_later(lane);
      events_->outcomes(lane, batch);
    });
  }

  asio::io_context context_{1};
  load load_;
  supply supply_;
  silent_log log_;
  service::metrics metrics_;
  std::vector<std::deque<outbox::row_ref>> in_flight_{bench::lanes};
  relay::publisher_events* events_ = nullptr;
  meter meter_;
  relay::relay relay_;
};

template <typename World>
void run(const std::string& what, const load& l) {
  World world(l);
  world.run_measured();
  world.print(what);
}

}  // namespace
}  // namespace outboxd::bench

int main(int argc, char** argv) {
  using namespace outboxd::bench;
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto arg = [&](std::size_t i) { return args.size() > i ? args[i] : std::string(); };
  load l;
  if (!arg(2).empty()) l.rows = std::stoul(arg(2));
  if (!arg(3).empty()) l.confirms_at_once = std::stoul(arg(3));
  const std::pair<std::string, keys> kinds[] = {
      {"keyless", keys::none}, {"keys", keys::many}, {"hot", keys::one}};
  for (const std::string& part : {std::string("core"), std::string("driver")}) {
    if (!arg(0).empty() && arg(0) != part) continue;
    for (const auto& [name, kind] : kinds) {
      if (!arg(1).empty() && arg(1) != name) continue;
      l.kind = kind;
      std::string what = part;
      what.append(" ").append(name);
      part == "core" ? run<core_world>(what, l) : run<driver_world>(what, l);
    }
  }
}
