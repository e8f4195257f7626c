// Where the core knows pending rows to be: what the gauges look at.
#include <limits>

#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using ranges = std::vector<outbox::id_range>;

constexpr auto last_id = std::numeric_limits<std::int64_t>::max();

class core_pending : public core_test {
 protected:
  void settle() {
    pass(5ms);
    ASSERT_TRUE(take<do_settle>());
    core_.settled(outbox::settle_answer{1, {}}, now_);
    poll();
  }
};

TEST_F(core_pending, before_anything_was_read_it_may_be_everywhere) {
  EXPECT_EQ(core_.may_be_pending(), (ranges{{1, last_id}}));
  lead();
  EXPECT_EQ(core_.may_be_pending(), (ranges{{1, last_id}}));
}

TEST_F(core_pending, rows_in_memory_gaps_and_what_was_not_read_yet) {
  lead();
  read({message(1), message(2), message(4), message(7)});
  published();
  EXPECT_EQ(core_.may_be_pending(), (ranges{{1, last_id}})) << "in memory, or in a gap";
  for (const std::int64_t id : {1, 2, 4}) {
    lands(id, verdict::confirmed);
    settle();
  }
  EXPECT_EQ(core_.may_be_pending(), (ranges{{3, 3}, {5, last_id}}));
  lands(7, verdict::confirmed);
  EXPECT_EQ(core_.may_be_pending(), (ranges{{3, 3}, {5, last_id}})) << "not written yet";
  settle();
  EXPECT_EQ(core_.may_be_pending(), (ranges{{3, 3}, {5, 6}, {8, last_id}}));
}

TEST_F(core_pending, a_row_that_has_failed_is_not_pending_and_those_skipped_behind_it_are) {
  lead();
  read({message(1, "k"), message(2)});
  published();
  lands(2, verdict::confirmed);
  settle();
  lands(1, verdict::returned, doubt::none, 312);
  EXPECT_EQ(core_.may_be_pending(), (ranges{{1, 1}, {3, last_id}})) << "until it is written";
  ASSERT_TRUE(take<do_decide>());
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  poll();
  EXPECT_EQ(core_.may_be_pending(), (ranges{{3, last_id}}));

  core_.notified(now_);
  poll();
  read({message(3), message(4, "k"), message(5)});
  for (const std::int64_t id : {3, 5}) {
    lands(id, verdict::confirmed);
    settle();
  }
  EXPECT_EQ(core_.may_be_pending(), (ranges{{4, last_id}}));
}

TEST_F(core_pending, a_row_that_fell_due_counts_once_it_has_to_wait_for_others) {
  lead();
  read({message(1, "k"), message(9)});
  published();
  lands(9, verdict::confirmed);
  settle();
  lands(1, verdict::returned, doubt::none, 312);
  ASSERT_TRUE(take<do_decide>());
  core_.decided(outbox::decide_answer{{message(1).ref}, {}}, now_);
  core_.notified(now_);
  poll();
  read({}, {message(5, "k"), message(6)});
  EXPECT_EQ(published().size(), 1u) << "the other is behind its key";
  EXPECT_EQ(core_.may_be_pending(), (ranges{{5, 5}, {10, last_id}}));
}

TEST_F(core_pending, after_a_lost_connection_it_may_be_everywhere_again) {
  lead();
  read({message(1)});
  published();
  lands(1, verdict::confirmed);
  settle();
  EXPECT_EQ(core_.may_be_pending(), (ranges{{2, last_id}}));
  core_.notified(now_);
  poll();
  ASSERT_TRUE(take<do_read>());
  core_.read_answered(base::failure{base::failure_kind::unavailable, "away"}, now_);
  EXPECT_EQ(core_.may_be_pending(), (ranges{{1, last_id}}));
}

}  // namespace
}  // namespace outboxd::relay
