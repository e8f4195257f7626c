// A statement that the server gave up on a session that lives: nothing that is known has changed,
// and the next one is asked for less.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;

class core_cancelled : public core_test {
 protected:
  // The read that is asked for takes so long, and is cancelled.
  void cancel(std::chrono::milliseconds after = 30s) {
    ASSERT_TRUE(take<do_read>());
    now_ += after;
    core_.read_answered(base::failure{base::failure_kind::cancelled, "statement timeout"}, now_);
    pass(5s);
  }
};

TEST_F(core_cancelled, nothing_is_read_again_from_the_start) {
  lead();
  read({message(7), message(8)});
  published();
  wake();
  cancel(1s);
  EXPECT_FALSE(take<do_load_failed>());
  const auto next = take<do_read>();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->request.frontier, 8);
}

TEST_F(core_cancelled, marks_and_decisions_neither) {
  lead();
  read({message(1), message(2)});
  published();
  lands(1, verdict::confirmed);
  lands(2, verdict::invalid);
  ASSERT_TRUE(take<do_settle>());
  core_.settled(base::failure{base::failure_kind::cancelled, "lock timeout"}, now_);
  pass(5s);
  EXPECT_FALSE(take<do_load_failed>());
  EXPECT_TRUE(take<do_settle>() || take<do_decide>());
}

TEST_F(core_cancelled, fewer_and_fewer_ids_are_asked_for_until_it_works_and_then_more_again) {
  lead();
  std::int64_t span = options{}.read_span;
  for (int i = 0; i < 3; ++i) {
    cancel();
    span /= 2;
  }
  const auto expect_slice = [&](std::int64_t frontier, std::int64_t ids) {
    const auto asked = take<do_read>();
    ASSERT_TRUE(asked);
    EXPECT_EQ(asked->request.frontier, frontier);
    EXPECT_EQ(asked->request.span, ids);
    outbox::read_answer a = answer();
    a.snap = {.xmin = 100, .next_xid = 100};
    a.up_to = frontier + ids;
    now_ += 1s;
    core_.read_answered(std::move(a), now_);
    poll();
  };
  expect_slice(0, span);
  expect_slice(span, 2 * span);
  expect_slice(3 * span, 4 * span);
  const auto asked = take<do_read>();
  ASSERT_TRUE(asked) << "at once, although nothing was found";
  EXPECT_THAT(asked->request.gaps, ElementsAre(outbox::id_range{3 * span + 1, 7 * span}));
}

TEST_F(core_cancelled, a_slice_that_took_long_is_followed_by_one_that_is_no_wider) {
  lead();
  cancel(8s);
  const auto asked = take<do_read>();
  ASSERT_TRUE(asked);
  outbox::read_answer a = answer();
  a.up_to = asked->request.span;
  now_ += 2s;
  core_.read_answered(std::move(a), now_);
  poll();
  EXPECT_EQ(take<do_read>()->request.span, asked->request.span);
}

TEST_F(core_cancelled, a_sweep_goes_on_where_it_was) {
  lead();
  read({message(5'000'000)});
  published();
  wake();
  go_idle();
  pass(5min);
  ASSERT_TRUE(take<do_load_failed>());
  core_.failed_loaded(std::vector<outbox::failed_row>{}, now_);
  poll();
  const auto asked = take<do_read>();
  ASSERT_TRUE(asked && asked->request.below);
  EXPECT_EQ(asked->request.below->to, options{}.read_span) << "in slices from the start";
  outbox::read_answer a = answer();
  a.below_to = asked->request.below->to;
  core_.read_answered(std::move(a), now_);
  poll();
  cancel();
  const auto again = take<do_read>();
  ASSERT_TRUE(again && again->request.below);
  EXPECT_EQ(again->request.below->after, options{}.read_span);
  EXPECT_EQ(again->request.below->to, options{}.read_span * 3 / 2);
}

}  // namespace
}  // namespace outboxd::relay
