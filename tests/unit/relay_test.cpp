// The driver between doubles: that it obeys the core, in the order the seams ask for, and that it
// ends.
#include "relay/relay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "tests/support/memory_store.hpp"
#include "tests/support/recording_log.hpp"
#include "tests/support/run_until.hpp"
#include "tests/support/scripted_publisher.hpp"

namespace outboxd::relay {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using tests::row_status;

// Leads when told. The wake lock is always to be had.
class scripted_leadership final : public outbox::leadership {
 public:
  explicit scripted_leadership(boost::asio::io_context& context) : context_(context) {}

  void start(outbox::leadership_events& events) override { events_ = &events; }
  void stop(std::function<void()> done) override {
    stopped = true;
    boost::asio::post(context_, std::move(done));
  }
  void try_wake_lock(std::function<void(base::result<bool>)> done) override {
    locked = true;
    boost::asio::post(context_, [done = std::move(done)] { done(true); });
  }
  void release_wake_lock() override { locked = false; }
  bool leads_for_certain() const override { return certain; }

  void gain(std::int64_t epoch) {
    events_->lead_state_changed(outbox::lead_state::leading, "");
    events_->lead_gained(epoch);
  }
  void lose() {
    events_->lead_lost("the session is gone");
    events_->lead_state_changed(outbox::lead_state::connecting, "the session is gone");
  }
  void lose_to_another() {
    lose();
    events_->lead_state_changed(outbox::lead_state::standby, "led by another");
  }
  void notify() { events_->notified(); }

  bool certain = true;
  bool stopped = false;
  bool locked = false;

 private:
  boost::asio::io_context& context_;
  outbox::leadership_events* events_ = nullptr;
};

class counting_observer final : public observer {
 public:
  void published(std::size_t) override { ++published_; }
  void confirmed(std::optional<std::chrono::microseconds> since_created,
                 std::chrono::microseconds) override {
    ++confirmed_;
    if (!since_created) ++replayed_;
  }
  void failed(verdict) override { ++failed_; }
  void unknown(doubt) override { ++unknown_; }
  void died(verdict) override { ++died_; }
  void read(std::size_t) override {}
  void notified() override {}
  void lead_changed(bool) override {}
  void broker_reconnected() override { ++reconnects_; }
  void broker_channel_error(int) override {}
  void broker_blocked_for(std::chrono::microseconds) override {}
  void purged(std::size_t) override {}

  int published_ = 0, confirmed_ = 0, replayed_ = 0, failed_ = 0, unknown_ = 0, died_ = 0,
      reconnects_ = 0;
};

class relay_test : public testing::Test {
 protected:
  relay_test() { relay_.start(); }

  void lead() {
    leadership_.gain(store_.take_lead());
    for (lane_id lane = 0; lane < broker_.lanes(); ++lane) broker_.open(lane);
  }

  void insert(const std::string& key = "") {
    outbox::message m;
    m.routing_key = "q";
    m.body = "{}";
    if (!key.empty()) m.ordering_key = key;
    store_.insert(m);
    leadership_.notify();
  }

  template <typename Condition>
  bool until(Condition condition) {
    return tests::run_until(context_, 10s, condition);
  }

  void drain(std::chrono::milliseconds limit) {
    relay_.drain(limit, [this](drain_result r) { drained_ = r; });
  }

  boost::asio::io_context context_;
  tests::memory_store store_{context_.get_executor()};
  scripted_leadership leadership_{context_};
  tests::scripted_publisher broker_{1};
  tests::recording_log log_;
  counting_observer metrics_;
  std::optional<drain_result> drained_;
  relay relay_{context_.get_executor(), store_, leadership_, broker_, options{}, log_, metrics_};
};

TEST_F(relay_test, a_stand_by_connects_to_no_broker) {
  EXPECT_FALSE(broker_.started());
  leadership_.gain(store_.take_lead());
  EXPECT_TRUE(broker_.started());
}

TEST_F(relay_test, an_ex_leader_leaves_the_broker_when_another_leads) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  leadership_.lose();
  EXPECT_TRUE(broker_.started()) << "acks save duplicates while nobody is known to lead";
  leadership_.lose_to_another();
  EXPECT_FALSE(broker_.started());
  EXPECT_EQ(relay_.current().unconfirmed, 0u);

  lead();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 2; }));
  broker_.confirm_all(0);
  EXPECT_TRUE(until([&] { return store_.find(1)->status == row_status::sent; }));
  EXPECT_EQ(metrics_.reconnects_, 0) << "it was given up, not lost";
}

TEST_F(relay_test, an_ack_after_the_lead_is_a_fact_and_is_written) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  leadership_.lose();
  broker_.confirm_all(0);
  EXPECT_TRUE(until([&] { return store_.find(1)->status == row_status::sent; }));
}

TEST_F(relay_test, a_process_that_was_stopped_too_long_publishes_nothing_before_it_hears_so) {
  lead();
  insert("k");
  insert("k");
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  leadership_.certain = false;
  broker_.confirm_all(0);
  EXPECT_THAT(broker_.ids(), ElementsAre(1)) << "another may lead, and have sent it long ago";
  leadership_.lose_to_another();
  EXPECT_TRUE(until([&] { return store_.find(1)->status == row_status::sent; }));
  EXPECT_THAT(broker_.ids(), ElementsAre(1));
}

TEST_F(relay_test, a_committed_row_is_published_confirmed_and_marked) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  EXPECT_EQ(store_.find(1)->status, row_status::pending);
  broker_.confirm_all(0);
  EXPECT_TRUE(until([&] { return store_.find(1)->status == row_status::sent; }));
  EXPECT_EQ(metrics_.published_, 1);
  EXPECT_EQ(metrics_.confirmed_, 1);
}

TEST_F(relay_test, going_idle_it_holds_the_wake_lock_and_gives_it_back_when_there_is_work) {
  lead();
  ASSERT_TRUE(until([&] { return leadership_.locked; }));
  insert();
  EXPECT_TRUE(until([&] { return !leadership_.locked; }));
}

TEST_F(relay_test, a_channel_that_opens_again_is_no_new_connection) {
  lead();
  broker_.close(0, doubt::channel_closed, 406, "PRECONDITION_FAILED");
  broker_.open(0);
  EXPECT_EQ(metrics_.reconnects_, 0);
  broker_.close(0);
  broker_.open(0);
  EXPECT_EQ(metrics_.reconnects_, 1);
}

TEST_F(relay_test, a_channel_that_is_opened_anew_is_no_new_connection) {
  lead();
  broker_.open(broker_.quarantine());
  insert();
  ASSERT_TRUE(until([&] { return broker_.unconfirmed(0).size() == 1; }));
  broker_.settle(0, {1}, verdict::nacked);
  ASSERT_TRUE(until([&] { return store_.find(1)->status == row_status::deferred; }));
  store_.advance(1min);
  leadership_.notify();
  ASSERT_TRUE(until([&] { return broker_.unconfirmed(broker_.quarantine()).size() == 1; }));
  broker_.confirm_all(broker_.quarantine());
  EXPECT_EQ(broker_.lane(0).renewed, 1);
  EXPECT_FALSE(relay_.current().lanes.at(0).open);
  insert();
  EXPECT_TRUE(until([&] { return store_.count(row_status::sent) == 1; }));
  broker_.open(0);
  EXPECT_TRUE(until([&] { return broker_.unconfirmed(0).size() == 1; }));
  EXPECT_EQ(metrics_.reconnects_, 0);
}

TEST_F(relay_test, rows_of_a_lane_that_closed_go_out_again_when_it_is_open_and_not_before) {
  lead();
  insert();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 2; }));
  broker_.close(0);
  EXPECT_THAT(broker_.unconfirmed(0), IsEmpty());
  EXPECT_EQ(metrics_.unknown_, 2);
  broker_.open(0);
  EXPECT_THAT(broker_.unconfirmed(0), ElementsAre(1, 2));
  EXPECT_EQ(metrics_.reconnects_, 1);
  broker_.confirm_all(0);
  EXPECT_TRUE(until([&] { return store_.count(row_status::sent) == 2; }));
}

TEST_F(relay_test, a_row_that_is_sent_again_is_counted_apart) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  broker_.confirm_all(0);
  ASSERT_TRUE(until([&] { return store_.count(row_status::sent) == 1; }));
  EXPECT_EQ(metrics_.replayed_, 0);
  store_.replay(1);
  leadership_.notify();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 2; }));
  broker_.confirm_all(0);
  ASSERT_TRUE(until([&] { return store_.count(row_status::sent) == 1; }));
  EXPECT_EQ(metrics_.confirmed_, 2);
  EXPECT_EQ(metrics_.replayed_, 1);
}

TEST_F(relay_test, nothing_is_published_on_a_blocked_lane) {
  lead();
  broker_.block(0, true);
  EXPECT_TRUE(relay_.current().lanes.at(0).blocked);
  insert();
  ASSERT_TRUE(until([&] { return relay_.current().rows_in_memory == 1; }));
  EXPECT_THAT(broker_.ids(), IsEmpty());
  broker_.block(0, false);
  EXPECT_THAT(broker_.ids(), ElementsAre(1));
}

TEST_F(relay_test, the_quarantine_is_none_of_the_connections_that_all_rows_need) {
  lead();
  broker_.open(broker_.quarantine());
  broker_.block(broker_.quarantine(), true);
  broker_.close(broker_.quarantine(), doubt::connection_lost, 0, "not wanted any more");
  ASSERT_EQ(relay_.current().lanes.size(), 1u);
  EXPECT_TRUE(relay_.current().lanes[0].open);
}

TEST_F(relay_test, a_returned_row_is_deferred_with_the_brokers_words) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  broker_.settle(0, {1}, verdict::returned, 312, "NO_ROUTE");
  ASSERT_TRUE(until([&] { return store_.find(1)->status == row_status::deferred; }));
  EXPECT_EQ(store_.find(1)->last_error, "returned: 312 NO_ROUTE");
  EXPECT_EQ(metrics_.failed_, 1);
}

TEST_F(relay_test, a_row_the_broker_cannot_take_is_dead_and_said_so) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  broker_.settle(0, {1}, verdict::invalid, 0, "header \"n\" does not fit");
  EXPECT_TRUE(until([&] { return store_.find(1)->status == row_status::dead; }));
  EXPECT_TRUE(until([&] { return metrics_.died_ == 1; }));
}

TEST_F(relay_test,
       a_drain_waits_for_confirms_and_marks_then_closes_the_broker_then_gives_the_lead_away) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  drain(1min);
  EXPECT_FALSE(broker_.stop_wanted());
  broker_.confirm_all(0);
  ASSERT_TRUE(until([&] { return broker_.stop_wanted(); }));
  EXPECT_EQ(store_.find(1)->status, row_status::sent);
  EXPECT_FALSE(leadership_.stopped);
  broker_.finish_stop();
  EXPECT_TRUE(until([&] { return drained_.has_value(); }));
  EXPECT_TRUE(leadership_.stopped);
  EXPECT_EQ(*drained_, drain_result::clean);
}

TEST_F(relay_test, a_drain_that_gets_no_confirm_ends_at_its_limit_and_says_so) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  drain(1min);
  drain(0ms);  // the second signal
  ASSERT_TRUE(until([&] { return broker_.stop_wanted(); }));
  broker_.finish_stop();
  ASSERT_TRUE(until([&] { return drained_.has_value(); }));
  EXPECT_EQ(*drained_, drain_result::unconfirmed_left);
}

TEST_F(relay_test, a_drain_before_anything_began_is_clean) {
  drain(1min);
  ASSERT_TRUE(until([&] { return broker_.stop_wanted(); }));
  broker_.finish_stop();
  ASSERT_TRUE(until([&] { return drained_.has_value(); }));
  EXPECT_EQ(*drained_, drain_result::clean);
}

TEST_F(relay_test, after_a_lost_lead_everything_is_read_anew) {
  lead();
  insert();
  ASSERT_TRUE(until([&] { return broker_.ids().size() == 1; }));
  leadership_.lose();
  broker_.confirm_all(0);
  ASSERT_TRUE(until([&] { return store_.find(1)->status == row_status::sent; }))
      << "facts are written all the same";
  insert();
  leadership_.gain(store_.take_lead());
  EXPECT_TRUE(until([&] { return broker_.ids().size() == 2; }));
}

TEST_F(relay_test, the_age_of_the_oldest_row_is_known_to_the_leader_only) {
  EXPECT_EQ(relay_.current().oldest_pending_age, std::nullopt);
  lead();
  ASSERT_TRUE(until([&] { return relay_.current().oldest_pending_age.has_value(); }));
  EXPECT_EQ(*relay_.current().oldest_pending_age, 0us);
  leadership_.lose();
  EXPECT_EQ(relay_.current().oldest_pending_age, std::nullopt);
}

TEST(relay, answers_that_come_after_its_end_go_nowhere) {
  boost::asio::io_context context;
  tests::memory_store store(context.get_executor());
  scripted_leadership leadership(context);
  tests::scripted_publisher broker(1);
  tests::recording_log log;
  counting_observer metrics;
  store.hold_answers();
  {
    relay r(context.get_executor(), store, leadership, broker, options{}, log, metrics);
    r.start();
    leadership.gain(store.take_lead());
    context.poll();
    EXPECT_GT(store.calls("load_failed"), 0u);
  }
  store.release_answers();
  context.restart();
  EXPECT_NO_THROW(context.poll());
}

}  // namespace
}  // namespace outboxd::relay
