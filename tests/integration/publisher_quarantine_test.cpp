// The quarantine of the publisher, a lane that is there only while it is wanted, against a broker
// on a loopback socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "tests/integration/publisher_driver.hpp"
#include "tests/support/scripted_broker.hpp"

namespace outboxd::tests {
namespace {

using testing::StartsWith;
using namespace std::chrono_literals;

constexpr relay::lane_id quarantine = 1;  // of a publisher with one lane

void answer_every_publish(broker_side& b) {
  b.handshake();
  for (std::uint64_t tag = 1;; ++tag) {
    b.take_publishes(1);
    b.ack(tag);
  }
}

TEST(the_quarantine, is_connected_only_when_it_is_wanted) {
  scripted_broker broker(answer_every_publish);
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  EXPECT_EQ(p.it().lanes(), 1u);
  EXPECT_FALSE(p.run_until([&] { return p.is_open(quarantine); }, 300ms));
  EXPECT_EQ(broker.connections(), 1);

  p.it().want_quarantine(true);
  p.it().want_quarantine(true);
  ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
  const auto apart = p.publish(p.row("", "q"), quarantine);
  const auto row = p.publish("", "q");
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(apart), "confirmed");
  EXPECT_EQ(p.outcome_of(row), "confirmed");
  EXPECT_EQ(broker.connections(), 2);
}

TEST(the_quarantine, may_be_wanted_before_the_start) {
  scripted_broker broker(answer_every_publish);
  publisher_driver p(broker.url());
  p.it().want_quarantine(true);
  p.start();
  EXPECT_TRUE(p.run_until([&] { return p.is_open(quarantine) && p.is_open(0); }));
}

TEST(the_quarantine, what_happens_there_leaves_the_others_alone_and_it_comes_back_by_itself) {
  std::atomic<int> lost = 0;
  scripted_broker broker([&](broker_side& b) {
    if (b.number() != 1) return answer_every_publish(b);
    b.handshake();
    b.take_publishes(1);
    ++lost;
    b.close_connection(541, "INTERNAL_ERROR");
    b.read_until(method::connection_close_ok);
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  p.it().want_quarantine(true);
  ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
  const auto poison = p.publish(p.row("", "q"), quarantine);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(poison), "unknown connection_lost 541");
  EXPECT_TRUE(p.is_open(0));
  ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
  EXPECT_EQ(broker.connections(), 3);
  EXPECT_EQ(lost, 1);
}

TEST(the_quarantine, says_goodbye_when_it_is_not_wanted_any_more_and_can_be_wanted_again) {
  std::atomic<int> closed_in_order = 0;
  scripted_broker broker([&](broker_side& b) {
    b.handshake();
    b.read_until(method::connection_close);
    b.close_ok();
    if (b.wait_for_the_end() == how_it_ended::closed) ++closed_in_order;
  });
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  for (int round = 1; round <= 2; ++round) {
    p.it().want_quarantine(true);
    ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
    p.it().want_quarantine(false);
    EXPECT_TRUE(p.is_open(quarantine)) << "an event from inside want_quarantine()";
    ASSERT_TRUE(p.run_until([&] { return !p.is_open(quarantine); }));
    EXPECT_EQ(p.last_close(), "connection_lost 0 not wanted any more");
    EXPECT_TRUE(p.run_until([&] { return closed_in_order == round; }));
  }
  EXPECT_TRUE(p.is_open(0));
  EXPECT_EQ(broker.connections(), 3);
}

TEST(the_quarantine, stays_when_it_is_wanted_again_in_the_same_moment) {
  scripted_broker broker(answer_every_publish);
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  p.it().want_quarantine(true);
  ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
  p.it().want_quarantine(false);
  p.it().want_quarantine(true);
  const auto row = p.publish(p.row("", "q"), quarantine);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
  EXPECT_EQ(p.times_opened(), 2);
}

TEST(the_quarantine, opens_again_while_the_old_connection_waits_for_the_brokers_goodbye) {
  scripted_broker broker(answer_every_publish);  // which never answers a goodbye
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  p.it().want_quarantine(true);
  ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
  p.it().want_quarantine(false);
  ASSERT_TRUE(p.run_until([&] { return !p.is_open(quarantine); }));
  p.it().want_quarantine(true);
  ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
  const auto row = p.publish(p.row("", "q"), quarantine);
  ASSERT_TRUE(p.settle());
  EXPECT_EQ(p.outcome_of(row), "confirmed");
}

TEST(the_quarantine, stops_with_the_others_and_stays_closed) {
  scripted_broker broker(answer_every_publish);
  publisher_driver p(broker.url());
  ASSERT_TRUE(p.start_and_open());
  p.it().want_quarantine(true);
  ASSERT_TRUE(p.run_until([&] { return p.is_open(quarantine); }));
  ASSERT_TRUE(p.stop(50ms));
  EXPECT_EQ(p.open_lanes(), 0u);
  EXPECT_THAT(p.last_close(), StartsWith("connection_lost "));
  p.it().want_quarantine(false);
  p.it().want_quarantine(true);
  EXPECT_FALSE(p.run_until([&] { return p.open_lanes() > 0; }, 300ms));
}

}  // namespace
}  // namespace outboxd::tests
