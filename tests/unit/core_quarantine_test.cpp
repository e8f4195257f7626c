// The connection for rows that have failed; and rows of one key in flight together.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class core_quarantine : public core_test {
 protected:
  static outbox::message failed_before(outbox::message m) {
    m.attempts = 1;
    return m;
  }
  void start_without_quarantine() {
    core_ = core(
        small(), 1, [] { return 0.5; }, 1'024);
    core_.lane_opened(0);
    lead();
  }
  void start_pipelined() {
    options o = small();
    o.pipelined = true;
    start_anew(o);
  }
};

TEST_F(core_quarantine, while_nothing_fails_none_is_wanted) {
  lead();
  read({message(1)});
  lands(1, verdict::confirmed);
  EXPECT_FALSE(take<do_want_quarantine>());
  EXPECT_FALSE(core_.needs_quarantine());
}

TEST_F(core_quarantine, it_is_wanted_once_for_a_row_that_failed_and_given_up_when_idle_for_long) {
  start_without_quarantine();
  read({}, {failed_before(message(1))});
  const auto wanted = take<do_want_quarantine>();
  ASSERT_TRUE(wanted);
  EXPECT_TRUE(wanted->wanted);
  EXPECT_TRUE(core_.needs_quarantine());
  EXPECT_THAT(published(), IsEmpty());
  pass(1s);
  EXPECT_FALSE(take<do_want_quarantine>()) << "said once";
  core_.lane_opened(quarantine);
  poll();
  EXPECT_THAT(published(), ElementsAre(1));
  lands(1, verdict::confirmed);
  pass(59s);
  EXPECT_FALSE(take<do_want_quarantine>()) << "something may fail again";
  EXPECT_LE(core_.next_poll(), now_ + 1s);
  pass(1s);
  const auto unwanted = take<do_want_quarantine>();
  ASSERT_TRUE(unwanted);
  EXPECT_FALSE(unwanted->wanted);
  EXPECT_FALSE(core_.needs_quarantine());
}

TEST_F(core_quarantine, as_long_as_a_destination_is_held_it_is_wanted) {
  lead();
  hold("gone");
  EXPECT_TRUE(take<do_want_quarantine>());
  decide();
  for (int i = 0; i < 10; ++i) pass(1min);
  EXPECT_FALSE(take<do_want_quarantine>());
  EXPECT_TRUE(core_.needs_quarantine());
}

TEST_F(core_quarantine, without_the_lead_it_is_given_up_at_once) {
  lead();
  hold("gone");
  ASSERT_TRUE(take<do_want_quarantine>());
  core_.lead_lost();
  poll();
  const auto unwanted = take<do_want_quarantine>();
  ASSERT_TRUE(unwanted);
  EXPECT_FALSE(unwanted->wanted);
}

TEST_F(core_quarantine, where_the_broker_gives_none_for_ten_seconds_its_rows_use_a_lane) {
  start_without_quarantine();
  read({}, {failed_before(message(1))});
  pass(9'999ms);
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_LE(core_.next_poll(), now_ + 1ms);
  pass(1ms);
  poll();
  const auto p = take<do_publish>();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->what->lane, 0u);
}

TEST_F(core_quarantine, where_no_lane_is_open_either_it_waits) {
  start_without_quarantine();
  read({}, {failed_before(message(1))});
  core_.lane_closed(0, doubt::connection_lost, now_);
  pass(1min);
  poll();
  EXPECT_THAT(published(), IsEmpty());
  core_.lane_opened(quarantine);
  poll();
  EXPECT_THAT(published(), ElementsAre(1));
}

TEST_F(core_quarantine, a_row_that_failed_does_not_keep_the_lanes_from_others) {
  start_without_quarantine();
  read({message(2), message(3, "k")}, {failed_before(message(1))});
  EXPECT_THAT(published(), ElementsAre(2, 3));
}

TEST_F(core_quarantine, pipelined_rows_of_a_key_are_in_flight_together_in_order) {
  start_pipelined();
  read({message(1, "k"), message(2, "k"), message(3, "k"), message(4, "j"), message(5)});
  EXPECT_THAT(published(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(core_quarantine, pipelined_a_nack_stops_the_key_until_the_row_is_final) {
  start_pipelined();
  read({message(1, "k"), message(2, "k"), message(3, "k")});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3));
  lands(1, verdict::nacked);
  lands(2, verdict::confirmed);
  wake();
  read({message(4, "k"), message(5)});
  EXPECT_THAT(published(), ElementsAre(5)) << "what was written went; nothing more does";
  core_.settled(outbox::settle_answer{1, {}}, now_);
  poll();
  EXPECT_EQ(decide().size(), 1u);
  lands(3, verdict::confirmed);
  core_.settled(outbox::settle_answer{1, {}}, now_);
  pass(500ms);
  read({}, {failed_before(message(1, "k"))});
  ASSERT_THAT(published(), ElementsAre(1));
  lands(5, verdict::confirmed);
  lands(1, verdict::confirmed);
  ASSERT_TRUE(take<do_renew>()) << "the lane has nacked what was taken now";
  core_.lane_opened(0);
  poll();
  read_below({message(4, "k")});
  EXPECT_THAT(published(), ElementsAre(4));
}

TEST_F(core_quarantine, pipelined_rows_of_a_lost_connection_go_again_in_order) {
  start_pipelined();
  read({message(1, "k"), message(2, "k"), message(3, "k")});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3));
  core_.lane_closed(0, doubt::connection_lost, now_);
  for (const std::int64_t id : {3, 1, 2}) lands(id, verdict::unknown, doubt::connection_lost);
  EXPECT_THAT(published(), IsEmpty());
  core_.lane_opened(0);
  poll();
  EXPECT_THAT(published(), ElementsAre(1, 2, 3));
}

TEST_F(core_quarantine, pipelined_suspects_of_a_key_go_alone_and_in_order) {
  start_pipelined();
  read({message(1, "k"), message(2, "k"), message(3, "k")});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3));
  for (const std::int64_t id : {1, 2, 3}) lands(id, verdict::unknown, doubt::channel_closed, 406);
  for (const std::int64_t id : {1, 2, 3}) {
    EXPECT_THAT(published(), ElementsAre(id));
    lands(id, verdict::confirmed);
  }
}

}  // namespace
}  // namespace outboxd::relay
