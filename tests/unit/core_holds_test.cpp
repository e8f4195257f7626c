// Destinations that are held: what goes on, what waits, and what is asked.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto first_pause = 375ms;  // the back-off with the luck of the fixture
constexpr auto second_pause = 750ms;

class core_holds : public core_test {
 protected:
  static std::vector<std::int64_t> ids(const std::vector<outbox::decision>& decisions) {
    std::vector<std::int64_t> ids;
    ids.reserve(decisions.size());
    for (const outbox::decision& d : decisions) ids.push_back(d.ref.id);
    return ids;
  }

  // After hold(), more of the table is read.
  void read_on(std::vector<outbox::message> rows) {
    wake();
    read(std::move(rows));
  }

  void fail_before(std::int64_t id, const std::string& routing_key,
                   std::optional<std::string> key = std::nullopt) {
    failed_.push_back({.ref = message(id).ref,
                       .dead = false,
                       .exchange = "",
                       .routing_key = routing_key,
                       .ordering_key = std::move(key)});
  }
  void take_over() {
    core_.lead_gained(epoch_ = 9, now_);
    poll();
    ASSERT_TRUE(take<do_load_failed>());
    core_.failed_loaded(failed_, now_);
    poll();
  }

 private:
  std::vector<outbox::failed_row> failed_;
};

TEST_F(core_holds, after_the_third_failure_nothing_is_written_for_the_rows_that_come_back) {
  lead();
  read({to("gone", message(1)), to("gone", message(2)), to("gone", message(3)),
        to("gone", message(4)), to("gone", message(5, "k"))});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3, 4, 5));
  for (const std::int64_t id : {1, 2, 3, 4, 5}) lands(id, verdict::returned, doubt::none, 312);
  EXPECT_THAT(ids(decide()), ElementsAre(1, 2, 3));
  EXPECT_EQ(core_.rows_in_memory(), 0u) << "the others wait in the table";
  EXPECT_EQ(core_.held_keys(), 0u);
}

TEST_F(core_holds, nothing_more_goes_to_a_held_destination_and_everything_else_does) {
  lead();
  hold("gone");
  read_on({to("gone", message(10)), to("here", message(11)), to("gone", message(12)),
           to("here", message(13, "k")), to("gone", message(14))});
  EXPECT_THAT(published(), ElementsAre(11, 13));
  EXPECT_THAT(ids(decide()), ElementsAre(1, 2, 3));
}

TEST_F(core_holds, rows_that_were_about_to_go_there_do_not) {
  options o = small();
  o.max_in_flight = 3;
  start_anew(o);
  read({to("gone", message(1)), to("gone", message(2)), to("gone", message(3)),
        to("gone", message(4)), to("gone", message(5))});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3));
  lands(1, verdict::nacked);
  lands(2, verdict::nacked);
  ASSERT_THAT(published(), ElementsAre(4, 5)) << "two failures are not three";
  lands(3, verdict::nacked);
  read({to("gone", message(6)), to("here", message(7))});
  EXPECT_THAT(published(), ElementsAre(7));
}

TEST_F(core_holds, the_log_is_told_when_a_hold_begins_and_when_it_ends) {
  lead();
  hold("gone");
  const auto began = take<do_tell>();
  ASSERT_TRUE(began);
  EXPECT_TRUE(began->what.began);
  EXPECT_EQ(began->what.what.reason, "returned: 312 text");
  read_on({to("gone", message(10))});
  EXPECT_FALSE(take<do_tell>());
  pass(first_pause);
  load();
  published();
  lands(10, verdict::confirmed);
  const auto ended = take<do_tell>();
  ASSERT_TRUE(ended);
  EXPECT_FALSE(ended->what.began);
}

TEST_F(core_holds, a_probe_goes_over_the_quarantine_when_the_back_off_is_over) {
  lead();
  hold("gone");
  read_on({to("gone", message(10))});
  decide();
  pass(first_pause - 1ms);
  EXPECT_THAT(load(), IsEmpty());
  EXPECT_LE(core_.next_poll(), now_ + 1ms);
  pass(1ms);
  EXPECT_THAT(load(), ElementsAre(10));
  const auto p = take<do_publish>();
  ASSERT_TRUE(p);
  EXPECT_EQ(p->what->msg.ref.id, 10);
  EXPECT_EQ(p->what->lane, quarantine);
}

TEST_F(core_holds, the_next_probe_is_a_different_row_and_a_failed_one_writes_nothing) {
  lead();
  hold("gone");
  read_on({to("gone", message(10)), to("gone", message(11)), to("gone", message(12))});
  decide();
  pass(first_pause);
  load();
  ASSERT_THAT(published(), ElementsAre(10));
  lands(10, verdict::returned, doubt::none, 312);
  EXPECT_FALSE(take<do_decide>());
  pass(second_pause - 1ms);
  EXPECT_THAT(load(), IsEmpty());
  pass(1ms);
  load();
  EXPECT_THAT(published(), ElementsAre(11));
}

TEST_F(core_holds, where_no_row_is_left_in_memory_for_a_probe_one_is_read) {
  lead();
  hold("gone");
  decide();
  read_on({to("gone", message(10)), to("gone", message(11)), to("gone", message(12))});
  for (const std::int64_t id : {10, 11}) {
    pass(10s);
    load();
    ASSERT_THAT(published(), ElementsAre(id));
    lands(id, verdict::returned, doubt::none, 312);
  }
  take<do_read>();
  core_.read_answered(answer(), now_);
  core_.wake_lock_answered(true, now_);
  poll();
  todo_.clear();
  core_.read_answered(answer(), now_);
  pass(10s);
  read_below({to("gone", message(12))});
  load();
  EXPECT_THAT(published(), ElementsAre(12));
}

TEST_F(core_holds, a_success_lifts_the_hold_and_what_was_skipped_is_read_and_goes_in_order) {
  lead();
  hold("gone");
  decide();
  read_on({to("gone", message(10)), to("gone", message(11)), to("gone", message(12, "k")),
           to("gone", message(13, "k")), to("here", message(14, "k"))});
  EXPECT_THAT(published(), IsEmpty()) << "row 14 is behind others of its key";
  pass(first_pause);
  load();
  ASSERT_THAT(published(), ElementsAre(10));
  core_.read_answered(answer(), now_);  // one that was under way
  todo_.clear();
  lands(10, verdict::confirmed);
  EXPECT_EQ(core_.held_destinations(), 0u);
  load();
  EXPECT_THAT(published(), ElementsAre(11)) << "waited in memory";
  read_below(
      {to("gone", message(12, "k")), to("gone", message(13, "k")), to("here", message(14, "k"))});
  EXPECT_THAT(published(), IsEmpty()) << "one at a time at first";
  lands(11, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(12));
  lands(12, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(13));
  lands(13, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(14));
}

TEST_F(core_holds, a_key_that_alternates_between_a_held_destination_and_another_keeps_its_order) {
  lead();
  hold("gone");
  decide();
  read_on({to("here", message(10, "k")), to("gone", message(11, "k")), to("here", message(12, "k")),
           to("gone", message(13, "k")), to("here", message(14))});
  EXPECT_THAT(published(), ElementsAre(10, 14));
  lands(10, verdict::confirmed);
  EXPECT_THAT(published(), IsEmpty());
  pass(first_pause);
  load();
  ASSERT_THAT(published(), ElementsAre(11));
  core_.read_answered(answer(), now_);  // one that was under way
  todo_.clear();
  lands(11, verdict::confirmed);
  read_below({to("here", message(12, "k")), to("gone", message(13, "k"))});
  EXPECT_THAT(published(), ElementsAre(12));
  lands(12, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(13));
}

TEST_F(core_holds, rows_that_are_read_later_wait_behind_the_one_of_their_key_that_is_the_probe) {
  lead();
  hold("gone");
  decide();
  read_on({to("gone", message(10, "k"))});
  read_on({to("here", message(11, "k")), to("here", message(12))});
  EXPECT_THAT(published(), ElementsAre(12));
}

TEST_F(core_holds, after_a_lift_the_share_of_the_destination_grows_with_each_success) {
  lead();
  hold("gone");
  decide();
  read_on({to("gone", message(10))});
  pass(first_pause);
  load();
  published();
  lands(10, verdict::confirmed);
  std::vector<outbox::message> rows;
  for (std::int64_t id = 20; id < 25; ++id) rows.push_back(to("gone", message(id)));
  read_on(std::move(rows));
  EXPECT_THAT(published(), ElementsAre(20));
  lands(20, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(21, 22));
  lands(21, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(23, 24));
}

TEST_F(core_holds, a_take_over_rebuilds_the_holds_from_the_rows_that_have_failed) {
  fail_before(1, "gone");
  fail_before(2, "here");
  fail_before(3, "gone", "k");
  fail_before(4, "here");
  fail_before(5, "gone");
  take_over();
  ASSERT_EQ(core_.held_destinations(), 1u);
  EXPECT_EQ(core_.holds().front().where.routing_key, "gone");
  EXPECT_EQ(core_.held_keys(), 1u);
  read({to("gone", message(10)), to("here", message(11)), to("here", message(12, "k"))});
  EXPECT_THAT(published(), ElementsAre(11));
}

TEST_F(core_holds, a_timeout_holds_the_destination_of_the_oldest_row_and_burns_no_attempt) {
  lead();
  read({to("silent", message(1)), to("here", message(2)), to("here", message(3, "k"))});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3));
  now_ += 30s;
  core_.lane_closed(0, doubt::timeout, now_);
  for (const std::int64_t id : {1, 2, 3}) lands(id, verdict::unknown, doubt::timeout);
  core_.lane_opened(0);
  poll();
  EXPECT_THAT(published(), ElementsAre(2, 3)) << "those go again";
  EXPECT_FALSE(take<do_decide>());
  ASSERT_EQ(core_.held_destinations(), 1u);
  EXPECT_EQ(core_.holds().front().where.routing_key, "silent");
  EXPECT_EQ(core_.held_keys(), 0u);
}

TEST_F(core_holds, a_destination_that_does_not_answer_is_asked_with_the_one_row_alone) {
  lead();
  read({to("silent", message(1)), to("silent", message(2)), to("silent", message(3))});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3));
  core_.lane_closed(0, doubt::timeout, now_);
  for (const std::int64_t id : {1, 2, 3}) lands(id, verdict::unknown, doubt::timeout);
  core_.lane_opened(0);
  poll();
  EXPECT_THAT(published(), IsEmpty());
  for (int i = 0; i < 5; ++i) {
    pass(60s);
    load();
    ASSERT_THAT(published(), ElementsAre(1));
    core_.lane_closed(quarantine, doubt::timeout, now_);
    lands(1, verdict::unknown, doubt::timeout);
    core_.lane_opened(quarantine);
  }
  EXPECT_FALSE(take<do_decide>());
}

TEST_F(core_holds, a_lost_connection_holds_nothing) {
  lead();
  read({to("here", message(1)), to("here", message(2)), to("here", message(3))});
  ASSERT_THAT(published(), ElementsAre(1, 2, 3));
  core_.lane_closed(0, doubt::connection_lost, now_);
  for (const std::int64_t id : {1, 2, 3}) lands(id, verdict::unknown, doubt::connection_lost);
  EXPECT_EQ(core_.held_destinations(), 0u);
  core_.lane_opened(0);
  poll();
  EXPECT_THAT(published(), ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace outboxd::relay
