// The relay core against a model of the table (late commits, rollbacks, slow and failing
// statements) and a model of the broker (a FIFO of which a prefix is processed, nacks, returns,
// lost lanes). Many seeds; a failing one is repeatable by its number: --gtest_filter=… with
// OUTBOXD_SEED in the message.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "relay/core.hpp"
#include "tests/unit/core_simulation_world.hpp"

namespace outboxd::relay {
namespace {

using namespace std::chrono_literals;
using namespace simulated;

// Drives one core. A statement runs at some step after it was asked for, and is answered at a later
// one.
class simulation {
 public:
  simulation(unsigned seed, options o)
      : w_(seed),
        core_(
            o, lanes, [this] { return std::uniform_real_distribution<>(0, 1)(w_.luck); },
            // Little memory, so that keys are crowded out and read further later.
            seed % 3 == 0 ? 1'024 : 1),
        lanes_(lanes + 1) {
    gain_lead();
    for (lane_id l = 0; l <= lanes; ++l) core_.lane_opened(l);
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      w_.now += std::chrono::milliseconds(w_.any(0, 4));
      w_.write();
      if (w_.faults && w_.outages && w_.chance(1)) lose_lead();
      if (!core_.leading() && w_.chance(30)) gain_lead();
      step_statements();
      for (lane_id l = 0; l <= lanes; ++l) step_lane(l);
      poll();
    }
  }

  // Everything that can go wrong has; what is left must go out by itself.
  void finish() {
    w_.faults = false;
    for (int i = 0; i < 20'000 && !all_sent(); ++i) {
      w_.now += std::chrono::milliseconds(w_.any(1, 20));
      if (!w_.transactions.empty()) end_transactions();
      if (!core_.leading()) gain_lead();
      step_statements();
      for (lane_id l = 0; l <= lanes; ++l) step_lane(l);
      poll();
    }
  }

  bool all_sent() const {
    return w_.transactions.empty() &&
           std::all_of(w_.table.begin(), w_.table.end(), [](const auto& r) {
             return r.second.state == status::sent || r.second.state == status::rolled_back;
           });
  }

  std::string stuck() const {
    std::string text;
    for (const auto& [id, r] : w_.table) {
      if (r.state == status::sent || r.state == status::rolled_back) continue;
      text += "\n  " + w_.describe(id);
    }
    return text;
  }

  world& w() { return w_; }
  core& relay() { return core_; }

 private:
  static constexpr std::size_t lanes = 2;

  struct lane_model {
    bool open = true;
    std::deque<const row*> written;  // not yet processed by the broker
    std::vector<outcome> outcomes;   // processed, not yet reported
  };

  template <typename Request>
  struct statement {
    std::optional<Request> asked;
    std::function<void()> answer;  // set once it has run
  };

  void end_transactions() {
    for (auto& [id, r] : w_.table) {
      if (r.state == status::open) w_.end(r, true);
    }
    w_.transactions.clear();
  }

  void gain_lead() { core_.lead_gained(++w_.epoch, w_.now); }
  void lose_lead() {
    if (core_.leading()) core_.lead_lost();
  }

  void poll() {
    std::vector<action> todo;
    core_.poll(w_.now, todo);
    for (action& a : todo) {
      if (auto* r = std::get_if<do_read>(&a)) read_.asked = std::move(r->request);
      if (auto* l = std::get_if<do_load_bodies>(&a)) load_.asked = std::move(l->rows);
      if (auto* h = std::get_if<do_load_failed>(&a)) holds_.asked = *h;
      if (auto* s = std::get_if<do_settle>(&a)) settle_.asked = std::move(s->rows);
      if (auto* d = std::get_if<do_decide>(&a)) decide_.asked = std::move(*d);
      if (auto* p = std::get_if<do_publish>(&a)) publish(*p->what);
      if (std::holds_alternative<do_try_wake_lock>(a))
        core_.wake_lock_answered(w_.chance(50), w_.now);
    }
  }

  void publish(const row& r) {
    EXPECT_TRUE(lanes_[r.lane].open) << "published on a closed lane: " << r.msg.ref.id;
    if (r.msg.ordering_key) {
      const auto earlier = w_.overtaken_by(r.msg);
      EXPECT_FALSE(earlier) << w_.describe(r.msg.ref.id) << " overtakes " << w_.describe(*earlier);
    }
    lanes_[r.lane].written.push_back(&r);
  }

  static base::failure away() { return {base::failure_kind::unavailable, "the database is away"}; }

  template <typename Request, typename Run>
  void step(statement<Request>& s, Run run) {
    if (s.asked && w_.chance(60)) {
      s.answer = run(*s.asked);
      s.asked.reset();
    } else if (s.answer && w_.chance(60)) {
      std::exchange(s.answer, nullptr)();
    }
  }

  bool fails() { return w_.faults && w_.outages && w_.chance(3); }

  void step_statements() {
    step(read_, [this](const auto& q) -> std::function<void()> {
      if (fails()) return [this] { core_.read_answered(away(), w_.now); };
      return [this, a = w_.read(q)] { core_.read_answered(a, w_.now); };
    });
    step(load_, [this](const auto& refs) -> std::function<void()> {
      if (fails()) return [this] { core_.bodies_loaded(away(), w_.now); };
      std::vector<outbox::loaded_body> bodies;
      bodies.reserve(refs.size());
      for (const auto& ref : refs) bodies.push_back({ref, "body", std::nullopt});
      return [this, bodies] { core_.bodies_loaded(bodies, w_.now); };
    });
    step(holds_, [this](const do_load_failed&) -> std::function<void()> {
      if (fails()) return [this] { core_.failed_loaded(away(), w_.now); };
      std::vector<outbox::failed_row> failed;
      for (const auto& [id, r] : w_.table) {
        if (r.state == status::deferred && r.msg.attempts > 0)
          failed.push_back({r.msg.ref, false, "", "", r.msg.ordering_key});
      }
      return [this, failed] { core_.failed_loaded(failed, w_.now); };
    });
    step(settle_, [this](const auto& refs) -> std::function<void()> {
      const bool lost = fails();
      if (!lost || w_.chance(50)) {  // a failed statement may have been committed all the same
        for (const auto& ref : refs) {
          EXPECT_TRUE(w_.confirmed.contains(ref.id)) << "marked sent without a confirm: " << ref.id;
          if (auto* r = w_.find(ref)) r->state = status::sent;
        }
      }
      if (lost) return [this] { core_.settled(away(), w_.now); };
      return [this, n = refs.size()] { core_.settled(n, w_.now); };
    });
    step(decide_, [this](const do_decide& d) -> std::function<void()> {
      const bool lost = fails();
      std::vector<row_ref> changed;
      if ((!lost || w_.chance(50)) && d.epoch == w_.epoch) {
        for (const auto& one : d.decisions) {
          auto* r = w_.find(one.ref);
          if (r == nullptr || (r->state != status::pending && r->state != status::deferred))
            continue;
          if (one.what == outbox::fate::pending) {
            r->state = status::pending;
            changed.push_back(one.ref);
            continue;
          }
          r->state = one.what == outbox::fate::dead ? status::dead : status::deferred;
          r->due_at = w_.now + one.retry_in;
          ++r->msg.attempts;
          changed.push_back(one.ref);
        }
      }
      if (lost) return [this] { core_.decided(away(), w_.now); };
      return [this, changed] { core_.decided(changed, w_.now); };
    });
  }

  void step_lane(lane_id id) {
    lane_model& lane = lanes_[id];
    if (!lane.open) {
      if (w_.chance(20)) {
        lane.open = true;
        core_.lane_opened(id);
      }
      return;
    }
    for (int n = w_.any(0, 4); n > 0 && !lane.written.empty(); --n) process(lane);
    if (w_.chance(50)) {
      for (const outcome& o : std::exchange(lane.outcomes, {})) core_.landed(o, w_.now);
    }
    if (w_.faults && w_.outages && w_.chance(1)) cut(id);
  }

  void process(lane_model& lane) {
    const row* r = lane.written.front();
    lane.written.pop_front();
    outcome o{
        .ref = r->msg.ref, .what = verdict::confirmed, .why = doubt::none, .code = 0, .text = {}};
    if (w_.faults && w_.chance(8)) o.what = w_.chance(50) ? verdict::nacked : verdict::returned;
    if (o.what == verdict::confirmed) {
      w_.deliver(r->msg);
      w_.confirmed.insert(r->msg.ref.id);
    }
    lane.outcomes.push_back(o);
  }

  // The broker has processed a prefix; what it said of it is lost with the connection.
  void cut(lane_id id) {
    lane_model& lane = lanes_[id];
    std::vector<row_ref> doubtful;
    for (const outcome& o : std::exchange(lane.outcomes, {})) doubtful.push_back(o.ref);
    for (const row* r : lane.written) doubtful.push_back(r->msg.ref);
    for (int n = w_.any(0, static_cast<int>(lane.written.size())); n > 0; --n) {
      w_.deliver(lane.written.front()->msg);
      lane.written.pop_front();
    }
    lane.written.clear();
    lane.open = false;
    const bool channel = w_.chance(30);
    core_.lane_closed(id, channel ? doubt::channel_closed : doubt::connection_lost, w_.now);
    for (const row_ref& ref : doubtful) {
      core_.landed({.ref = ref,
                    .what = verdict::unknown,
                    .why = channel ? doubt::channel_closed : doubt::connection_lost,
                    .code = 0,
                    .text = {}},
                   w_.now);
      poll();  // the driver does so between any two events
    }
  }

  world w_;
  core core_;
  std::vector<lane_model> lanes_;
  statement<outbox::read_request> read_;
  statement<std::vector<row_ref>> load_;
  statement<do_load_failed> holds_;
  statement<std::vector<row_ref>> settle_;
  statement<do_decide> decide_;
};

options small_and_varied(unsigned seed) {
  options o;
  o.max_in_flight = 1 + seed % 40;
  o.batch_size = 1 + (seed * 7) % 60;
  o.max_in_flight_bytes = seed % 5 == 0 ? 40 : 64u << 20;
  o.retry_min = 20ms;
  o.retry_max = 100ms;
  return o;
}

void expect_promises(simulation& s) {
  ASSERT_TRUE(s.all_sent()) << "rows are stuck:" << s.stuck();
  for (const auto& [id, r] : s.w().table) {
    const bool delivered = s.w().delivered.contains(id);
    ASSERT_FALSE(delivered && r.state == status::rolled_back) << "phantom " << id;
    ASSERT_FALSE(!delivered && r.state == status::sent) << "lost " << id;
  }
  for (const auto& [key, ids] : s.w().first_deliveries) {
    ASSERT_TRUE(std::is_sorted(ids.begin(), ids.end())) << "order of key " << key << " is broken";
  }
  ASSERT_EQ(s.relay().unconfirmed(), 0u);
}

// Each parameter stands for this many seeds.
constexpr unsigned seeds_at_once = 25;

class core_simulation : public testing::TestWithParam<unsigned> {};

TEST_P(core_simulation, with_outages_nothing_is_lost_invented_or_reordered) {
  for (unsigned seed = GetParam() * seeds_at_once; seed < (GetParam() + 1) * seeds_at_once;
       ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    simulation s(seed, small_and_varied(seed));
    s.run(600);
    s.finish();
    ASSERT_NO_FATAL_FAILURE(expect_promises(s));
  }
}

TEST_P(core_simulation, without_outages_nothing_is_delivered_twice) {
  for (unsigned seed = GetParam() * seeds_at_once; seed < (GetParam() + 1) * seeds_at_once;
       ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    simulation s(seed, small_and_varied(seed));
    s.w().outages = false;
    s.run(600);
    s.finish();
    ASSERT_NO_FATAL_FAILURE(expect_promises(s));
    ASSERT_EQ(s.w().duplicates, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(seeds, core_simulation, testing::Range(0u, 40u));

}  // namespace
}  // namespace outboxd::relay
