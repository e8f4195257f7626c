// What becomes of a row.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(core_test, reads_nothing_before_it_leads_and_knows_what_has_failed) {
  poll();
  EXPECT_THAT(todo_, IsEmpty());
  core_.lead_gained(epoch_ = 7, now_);
  poll();
  EXPECT_TRUE(take<do_load_failed>());
  EXPECT_FALSE(take<do_read>());
}

TEST_F(core_test, a_row_is_read_published_confirmed_and_marked) {
  lead();
  read({message(1)});
  EXPECT_THAT(published(), ElementsAre(1));
  EXPECT_FALSE(take<do_settle>()) << "marked before the ack";
  lands(1, verdict::confirmed);
  EXPECT_THAT(take<do_settle>()->rows, ElementsAre(message(1).ref));
  core_.settled(outbox::settle_answer{1, {}}, now_);
  EXPECT_EQ(core_.rows_in_memory(), 0u);
}

TEST_F(core_test, rows_without_a_key_are_pipelined_and_rows_of_one_key_are_not) {
  lead();
  read({message(1, "k"), message(2, "k"), message(3), message(4)});
  EXPECT_THAT(published(), ElementsAre(1, 3, 4));
  lands(1, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_test, acks_that_arrive_while_a_mark_is_written_go_into_the_next_statement_together) {
  lead();
  read({message(1), message(2), message(3)});
  lands(1, verdict::confirmed);
  ASSERT_TRUE(take<do_settle>());
  lands(3, verdict::confirmed);
  lands(2, verdict::confirmed);
  EXPECT_FALSE(take<do_settle>());
  core_.settled(outbox::settle_answer{1, {}}, now_);
  pass(5ms);
  EXPECT_THAT(take<do_settle>()->rows, ElementsAre(message(2).ref, message(3).ref));
}

TEST_F(core_test, few_marks_wait_for_more_and_a_lone_one_does_not) {
  lead();
  read({message(1), message(2), message(3)});
  lands(1, verdict::confirmed);
  ASSERT_TRUE(take<do_settle>());
  core_.settled(outbox::settle_answer{1, {}}, now_);
  lands(2, verdict::confirmed);
  EXPECT_FALSE(take<do_settle>());
  EXPECT_LE(core_.next_poll().value(), now_ + 5ms);
  pass(5ms);
  ASSERT_TRUE(take<do_settle>());
  core_.settled(outbox::settle_answer{1, {}}, now_);
  pass(5ms);
  lands(3, verdict::confirmed);
  EXPECT_TRUE(take<do_settle>());
}

TEST_F(core_test, marks_of_a_relay_that_is_to_end_do_not_wait) {
  lead();
  read({message(1), message(2)});
  lands(1, verdict::confirmed);
  ASSERT_TRUE(take<do_settle>());
  core_.settled(outbox::settle_answer{1, {}}, now_);
  lands(2, verdict::confirmed);
  ASSERT_FALSE(take<do_settle>());
  core_.drain();
  poll();
  EXPECT_TRUE(take<do_settle>());
}

TEST_F(core_test, marks_that_could_not_be_written_are_kept_and_written_first) {
  lead();
  read({message(1)});
  lands(1, verdict::confirmed);
  ASSERT_TRUE(take<do_settle>());
  core_.settled(base::failure{base::failure_kind::unavailable, "gone"}, now_);
  poll();
  EXPECT_FALSE(take<do_settle>()) << "no hot loop while the database is away";
  pass(100ms);
  EXPECT_THAT(take<do_settle>()->rows, ElementsAre(message(1).ref));
}

TEST_F(core_test, a_returned_row_is_deferred_and_holds_its_key_and_no_other) {
  lead();
  read({message(1, "a"), message(2, "a"), message(3, "b")});
  EXPECT_THAT(published(), ElementsAre(1, 3));
  lands(1, verdict::returned, doubt::none, 312);
  const auto d = take<do_decide>();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->epoch, 7);
  EXPECT_EQ(d->decisions.at(0).what, outbox::fate::deferred);
  EXPECT_EQ(d->decisions.at(0).last_error, "returned: 312 text");
  EXPECT_GE(d->decisions.at(0).retry_in, 250ms);
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  poll();
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_EQ(core_.held_keys(), 1u);
}

TEST_F(core_test, a_failed_row_goes_again_when_it_is_due_and_then_the_rest_of_its_key) {
  lead();
  read({message(1, "a"), message(2, "a")});
  EXPECT_THAT(published(), ElementsAre(1));
  lands(1, verdict::nacked);
  take<do_decide>();
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  pass(500ms);
  auto due = message(1, "a");
  due.attempts = 1;
  read({}, {due});
  EXPECT_THAT(published(), ElementsAre(1));
  lands(1, verdict::confirmed);
  const auto next = take<do_read>();
  ASSERT_TRUE(next);
  ASSERT_TRUE(next->request.below);
  EXPECT_THAT(next->request.below->keys, ElementsAre("a"));
  EXPECT_EQ(next->request.below->after, 1);
}

TEST_F(core_test, no_more_skipped_rows_are_asked_for_than_may_come_in) {
  options o = small();
  o.batch_size = 1'000;
  start_anew(o);
  std::vector<outbox::message> backlog;
  for (std::int64_t id = 1; id <= 200; ++id) backlog.push_back(message(id, "a"));
  read(std::move(backlog));
  const std::size_t in_memory = core_.rows_in_memory();
  EXPECT_LT(in_memory, 200u) << "no key takes more than its share";
  for (std::size_t landed = 0; landed < in_memory; ++landed) {
    const auto ids = published();
    ASSERT_EQ(ids.size(), 1u);
    lands(ids.front(), verdict::confirmed);
  }
  const auto next = take<do_read>();
  ASSERT_TRUE(next && next->request.below);
  EXPECT_EQ(next->request.below->after, static_cast<std::int64_t>(in_memory));
  EXPECT_GE(next->request.below->rows, 1u);
  EXPECT_LE(next->request.below->rows, core_.capacity() / 8);
}

TEST_F(core_test, a_scheduled_row_that_is_due_before_its_turn_takes_its_place_among_the_pending) {
  lead();
  std::vector<outbox::message> backlog;
  for (std::int64_t id = 1; id <= 5; ++id) backlog.push_back(message(id));
  read(std::move(backlog), {message(9, "k")});  // row 8 of the key is behind the limit
  EXPECT_THAT(published(), ElementsAre(1, 2, 3, 4, 5));
  const auto d = take<do_decide>();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->decisions.at(0).ref, message(9).ref);
  EXPECT_EQ(d->decisions.at(0).what, outbox::fate::pending);
  core_.decided(outbox::decide_answer{{message(9).ref}, {}}, now_);
  poll();
  read({message(8, "k"), message(9, "k")});
  EXPECT_THAT(published(), ElementsAre(8));
  lands(8, verdict::confirmed);
  read_below({message(9, "k")});
  EXPECT_THAT(published(), ElementsAre(9));
}

TEST_F(core_test, a_refused_row_is_dead_and_the_next_of_its_key_goes) {
  lead();
  read({message(1, "a"), message(2, "a")});
  published();
  lands(1, verdict::invalid);
  EXPECT_EQ(take<do_decide>()->decisions.at(0).what, outbox::fate::dead);
  const auto dead = core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(dead[0].why, verdict::invalid);
  poll();
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_test, doubt_burns_no_attempt_and_the_row_goes_again_when_the_lane_is_back) {
  lead();
  read({message(1), message(2)});
  published();
  lands(1, verdict::unknown, doubt::connection_lost);
  core_.lane_closed(0, doubt::connection_lost, now_);
  EXPECT_FALSE(take<do_decide>());
  core_.lane_opened(0);
  poll();
  EXPECT_THAT(published(), testing::Contains(1));
}

TEST_F(core_test, a_row_over_which_the_channel_closes_twice_while_it_is_alone_is_refused) {
  lead();
  read({message(1), message(2)});
  published();
  const auto channel_closed = [&](std::int64_t id) {
    lands(id, verdict::unknown, doubt::channel_closed, 406);
  };
  channel_closed(1);
  channel_closed(2);
  EXPECT_THAT(published(), ElementsAre(1)) << "one at a time";
  lands(1, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(2));
  channel_closed(2);
  EXPECT_THAT(published(), ElementsAre(2));
  take<do_settle>();
  core_.settled(outbox::settle_answer{1, {}}, now_);
  channel_closed(2);
  const auto d = take<do_decide>();
  ASSERT_TRUE(d);
  EXPECT_EQ(d->decisions.at(0).ref, message(2).ref);
  EXPECT_EQ(d->decisions.at(0).what, outbox::fate::dead);
}

TEST_F(core_test, a_body_over_the_limit_is_dead_without_being_read) {
  lead();
  auto huge = message(1);
  huge.body_loaded = false;
  huge.body.clear();
  huge.body_size = 1'001;
  read({huge});
  EXPECT_FALSE(take<do_load_bodies>());
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_EQ(take<do_decide>()->decisions.at(0).what, outbox::fate::dead);
}

TEST_F(core_test, large_bodies_are_read_only_as_far_as_the_budget_goes) {
  lead();
  std::vector<outbox::message> rows;
  for (std::int64_t id = 1; id <= 4; ++id) {
    rows.push_back(message(id));
    rows.back().body.clear();
    rows.back().body_loaded = false;
    rows.back().body_size = 240;
  }
  read(std::move(rows));
  EXPECT_THAT(take<do_load_bodies>()->rows, ElementsAre(message(1).ref, message(2).ref));
  EXPECT_THAT(published(), IsEmpty());
  core_.bodies_loaded(
      std::vector<outbox::loaded_body>{{message(1).ref, std::string(240, 'x'), std::nullopt},
                                       {message(2).ref, std::string(240, 'x'), std::nullopt}},
      now_);
  poll();
  EXPECT_THAT(published(), ElementsAre(1, 2));
  EXPECT_FALSE(take<do_load_bodies>());
  lands(1, verdict::confirmed);
  EXPECT_THAT(take<do_load_bodies>()->rows, ElementsAre(message(3).ref));
}

TEST_F(core_test, headers_count_like_bodies_and_are_loaded_with_them) {
  lead();
  std::vector<outbox::message> rows{message(1), message(2)};
  for (outbox::message& m : rows) {
    m.body_loaded = false;
    m.headers_size = 400;
  }
  read(std::move(rows));
  EXPECT_THAT(take<do_load_bodies>()->rows, ElementsAre(message(1).ref));
  const std::string headers(400, 'h');
  core_.bodies_loaded(std::vector<outbox::loaded_body>{{message(1).ref, "{}", headers}}, now_);
  poll();
  EXPECT_THAT(published(), ElementsAre(1));
  EXPECT_EQ(core_.bytes_in_memory(), 402u + 2u) << "of row 2 only what came with it";
  EXPECT_FALSE(take<do_load_bodies>());
}

TEST_F(core_test, a_body_that_is_gone_from_the_table_takes_its_row_along) {
  lead();
  auto m = message(1);
  m.body_loaded = false;
  read({m});
  ASSERT_TRUE(take<do_load_bodies>());
  core_.bodies_loaded(std::vector<outbox::loaded_body>{}, now_);
  EXPECT_EQ(core_.rows_in_memory(), 0u);
}

TEST_F(core_test, an_answer_about_bodies_from_an_earlier_lead_drops_no_row) {
  lead();
  auto m = message(1);
  m.body_loaded = false;
  read({m});
  ASSERT_TRUE(take<do_load_bodies>());
  core_.lead_lost();
  lead(9);
  read({m});
  core_.bodies_loaded(std::vector<outbox::loaded_body>{},
                      now_);  // it was dead then, and was revived
  EXPECT_EQ(core_.rows_in_memory(), 1u);
  poll();
  EXPECT_TRUE(take<do_load_bodies>());
}

}  // namespace
}  // namespace outboxd::relay
