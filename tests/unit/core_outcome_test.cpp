// Whose fault it was: what the broker's codes, and silence, say of a row.
#include <algorithm>

#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class core_outcome : public core_test {
 protected:
  void channel_closed(std::int64_t id, int code) {
    lands(id, verdict::unknown, doubt::channel_closed, code);
  }
  void connection_lost(std::int64_t id, int code = 0) {
    lands(id, verdict::unknown, doubt::connection_lost, code);
  }
  // Goes again, alone, and once more it ends so.
  void goes_alone(std::int64_t id) {
    const auto p = take<do_publish>();
    ASSERT_TRUE(p);
    EXPECT_EQ(p->what->msg.ref.id, id);
    EXPECT_EQ(p->what->lane, quarantine);
    EXPECT_THAT(published(), IsEmpty());
  }
  outbox::decision decision() {
    const auto made = decide();
    if (made.size() != 1) {
      ADD_FAILURE() << made.size() << " decisions";
      return {};
    }
    return made.front();
  }
};

TEST_F(core_outcome, a_row_that_fails_a_precondition_twice_alone_is_dead_with_the_brokers_words) {
  lead();
  read({message(1, "k")});
  published();
  channel_closed(1, 406);
  goes_alone(1);
  channel_closed(1, 406);
  EXPECT_FALSE(take<do_decide>()) << "once alone is not twice";
  goes_alone(1);
  channel_closed(1, 406);
  const auto d = decision();
  EXPECT_EQ(d.what, outbox::fate::dead);
  EXPECT_EQ(d.last_error, "refused: 406 text");
}

TEST_F(core_outcome, a_missing_exchange_or_permission_defers_the_row_over_which_it_shows) {
  for (const int code : {403, 404}) {
    start_anew(small());
    read({message(1)});
    published();
    channel_closed(1, code);
    goes_alone(1);
    channel_closed(1, code);
    const auto d = decision();
    EXPECT_EQ(d.what, outbox::fate::deferred);
    EXPECT_EQ(d.last_error, code == 403 ? "forbidden: 403 text" : "no_exchange: 404 text");
  }
}

TEST_F(core_outcome, an_error_inside_the_broker_is_the_rows_if_its_destination_takes_others) {
  lead();
  read({message(1), message(2)});
  published();
  connection_lost(1, 541);
  goes_alone(1);
  lands(2, verdict::confirmed);
  connection_lost(1, 541);
  goes_alone(1);
  connection_lost(1, 541);
  const auto made = decide();
  ASSERT_THAT(made, IsEmpty()) << "the mark goes first";
  core_.settled(outbox::settle_answer{1, {}}, now_);
  poll();
  const auto d = decision();
  EXPECT_EQ(d.what, outbox::fate::dead);
  EXPECT_EQ(d.last_error, "refused: 541 text");
}

TEST_F(core_outcome, an_error_inside_the_broker_defers_the_row_if_its_destination_takes_no_other) {
  lead();
  read({message(1), to("elsewhere", message(2))});
  published();
  connection_lost(1, 541);
  goes_alone(1);
  lands(2, verdict::confirmed);
  core_.settled(outbox::settle_answer{1, {}}, now_);
  connection_lost(1, 541);
  goes_alone(1);
  connection_lost(1, 541);
  EXPECT_EQ(decision().what, outbox::fate::deferred);
}

TEST_F(core_outcome, what_the_destination_took_before_the_trouble_proves_nothing) {
  lead();
  read({message(1), message(2), message(3)});
  published();
  lands(2, verdict::confirmed);
  core_.settled(outbox::settle_answer{1, {}}, now_);
  connection_lost(1, 541);
  for (int i = 0; i < 2; ++i) {
    goes_alone(1);
    connection_lost(1, 541);
  }
  EXPECT_EQ(decision().what, outbox::fate::deferred);
}

TEST_F(core_outcome, a_connection_closed_by_force_is_never_a_rows_fault) {
  lead();
  read({message(1), message(2)});
  published();
  for (int i = 0; i < 3; ++i) {
    connection_lost(1, 320);
    published();
  }
  lands(2, verdict::confirmed);
  core_.settled(outbox::settle_answer{1, {}}, now_);
  for (int i = 0; i < 20; ++i) {
    connection_lost(1, 320);
    for (const outbox::decision& d : decide()) {
      EXPECT_EQ(d.what, outbox::fate::deferred);
      return;
    }
    ASSERT_THAT(published(), ElementsAre(1));
  }
  FAIL() << "it goes again and again";
}

TEST_F(core_outcome, an_outage_however_often_says_nothing_of_any_row) {
  lead();
  read({message(1), message(2, "k")});
  published();
  for (int i = 0; i < 50; ++i) {
    core_.lane_closed(0, doubt::connection_lost, now_);
    core_.lane_closed(quarantine, doubt::connection_lost, now_);
    for (const std::int64_t id : {1, 2}) {
      const row* r = core_.find(message(id).ref);
      ASSERT_NE(r, nullptr);
      if (r->state == row_state::in_flight) connection_lost(id);
    }
    ASSERT_FALSE(take<do_decide>());
    open_lanes();
    poll();
    published();
  }
  EXPECT_EQ(core_.held_destinations(), 0u);
  EXPECT_EQ(core_.held_keys(), 0u);
}

// The broker resets the connection without a word as soon as row 3 is on it.
TEST_F(core_outcome, a_row_that_kills_its_connection_is_found_alone_and_the_others_are_not_harmed) {
  lead();
  std::vector<outbox::message> rows;
  for (std::int64_t id = 1; id <= 5; ++id) rows.push_back(message(id));
  read(std::move(rows));
  std::vector<std::int64_t> confirmed, decided;
  int losses = 0, losses_of_lane = 0;
  std::vector<row*> out;
  const auto gather = [&] {
    while (auto p = take<do_publish>()) out.push_back(p->what);
  };
  gather();
  for (int i = 0; i < 30 && !out.empty(); ++i) {
    const auto poison = std::ranges::find_if(out, [](row* r) { return r->msg.ref.id == 3; });
    if (poison == out.end()) {
      for (row* r : std::exchange(out, {})) {
        confirmed.push_back(r->msg.ref.id);
        lands(r->msg.ref.id, verdict::confirmed);
      }
    } else {
      const lane_id lane = (*poison)->lane;
      ++losses;
      if (lane == 0) ++losses_of_lane;
      core_.lane_closed(lane, doubt::connection_lost, now_);
      std::vector<std::int64_t> lost;
      for (row* r : out) {
        if (r->lane == lane) lost.push_back(r->msg.ref.id);
      }
      std::erase_if(out, [lane](row* r) { return r->lane == lane; });
      for (const std::int64_t id : lost) connection_lost(id);
      core_.lane_opened(lane);
      poll();
    }
    if (take<do_settle>()) core_.settled(outbox::settle_answer{1, {}}, now_);
    poll();
    for (const outbox::decision& d : decide()) {
      decided.push_back(d.ref.id);
      EXPECT_EQ(d.what, outbox::fate::deferred) << "the broker has not said a word";
    }
    gather();
  }
  EXPECT_THAT(decided, ElementsAre(3));
  EXPECT_THAT(confirmed, testing::UnorderedElementsAre(1, 2, 4, 5));
  EXPECT_EQ(losses_of_lane, 3) << "a suspect after three";
  EXPECT_LE(losses, 6);
}

TEST_F(core_outcome, rows_that_were_on_a_closed_channel_go_one_by_one_and_are_innocent) {
  lead();
  read({message(1), message(2), message(3)});
  published();
  for (const std::int64_t id : {1, 2, 3}) channel_closed(id, 406);
  for (const std::int64_t id : {1, 2, 3}) {
    goes_alone(id);
    lands(id, verdict::confirmed);
  }
  EXPECT_FALSE(take<do_decide>());
}

TEST_F(core_outcome, what_is_found_before_it_is_sent_is_dead_with_our_reason) {
  lead();
  read({message(1), message(2)});
  published();
  lands(1, verdict::invalid);
  lands(2, verdict::too_large);
  const auto made = decide();
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0].what, outbox::fate::dead);
  EXPECT_EQ(made[0].last_error, "invalid: text");
  EXPECT_EQ(made[1].what, outbox::fate::dead);
}

}  // namespace
}  // namespace outboxd::relay
