// Rows that somebody else's transaction holds: the others go on, and these are asked for again.
#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class core_locked : public core_test {
 protected:
  static std::vector<outbox::row_ref> refs(std::initializer_list<std::int64_t> ids) {
    std::vector<outbox::row_ref> out;
    for (const std::int64_t id : ids) out.push_back(message(id).ref);
    return out;
  }

  // Answers the marks that are asked for; with their ids.
  std::vector<std::int64_t> settle(std::initializer_list<std::int64_t> locked = {}) {
    pass(5ms);
    const auto asked = take<do_settle>();
    if (!asked) return {};
    std::vector<std::int64_t> ids;
    for (const outbox::row_ref& ref : asked->rows) ids.push_back(ref.id);
    core_.settled(outbox::settle_answer{ids.size() - locked.size(), refs(locked)}, now_);
    poll();
    return ids;
  }

  // Likewise decisions.
  std::vector<std::int64_t> decide(std::initializer_list<std::int64_t> locked = {}) {
    const auto asked = take<do_decide>();
    if (!asked) return {};
    std::vector<std::int64_t> ids;
    outbox::decide_answer answer{{}, refs(locked)};
    for (const outbox::decision& d : asked->decisions) {
      ids.push_back(d.ref.id);
      if (std::ranges::find(answer.locked, d.ref) == answer.locked.end())
        answer.changed.push_back(d.ref);
    }
    core_.decided(answer, now_);
    poll();
    return ids;
  }

  void confirm(std::initializer_list<std::int64_t> ids) {
    for (const std::int64_t id : ids) lands(id, verdict::confirmed);
  }
};

TEST_F(core_locked, a_row_waits_apart_for_a_second_while_the_marks_of_others_are_written) {
  lead();
  read({message(1), message(2), message(3)});
  published();
  confirm({1, 2});
  ASSERT_THAT(settle({1}), ElementsAre(1));
  EXPECT_THAT(settle(), ElementsAre(2));
  EXPECT_EQ(core_.locked_rows(), 1u);
  EXPECT_EQ(core_.rows_in_memory(), 2u) << "it counts, so that memory is bounded";
  confirm({3});
  EXPECT_THAT(settle(), ElementsAre(3)) << "not the one that is locked";
  pass(989ms);
  EXPECT_FALSE(take<do_settle>());
  ASSERT_TRUE(core_.next_poll() && *core_.next_poll() <= now_ + 1ms);
  EXPECT_THAT(settle({1}), ElementsAre(1)) << "still locked";
  EXPECT_THAT(settle(), IsEmpty());
  EXPECT_EQ(core_.locked_rows(), 1u);
  pass(1s);
  EXPECT_THAT(settle(), ElementsAre(1));
  EXPECT_EQ(core_.locked_rows(), 0u);
  EXPECT_EQ(core_.rows_in_memory(), 0u);
}

TEST_F(core_locked, a_row_keeps_no_other_from_being_decided_about_and_holds_its_key_meanwhile) {
  lead();
  read({message(1, "k"), message(2, "k"), message(3, "other")});
  EXPECT_THAT(published(), ElementsAre(1, 3));
  lands(1, verdict::invalid);
  ASSERT_THAT(decide({1}), ElementsAre(1));
  EXPECT_EQ(core_.locked_rows(), 1u);
  lands(3, verdict::returned, doubt::none, 312);
  EXPECT_THAT(decide(), ElementsAre(3));
  EXPECT_THAT(published(), IsEmpty()) << "what is behind it waits for the decision";
  pass(1s);
  EXPECT_THAT(decide(), ElementsAre(1));
  EXPECT_THAT(published(), ElementsAre(2));
  EXPECT_EQ(core_.locked_rows(), 0u);
}

TEST_F(core_locked, a_due_row_that_has_to_wait_is_asked_for_again_and_not_at_once) {
  lead();
  read({message(1, "k")});
  published();
  lands(1, verdict::returned, doubt::none, 312);
  ASSERT_THAT(decide(), ElementsAre(1));
  wake();
  read({}, {message(2, "k")});
  ASSERT_THAT(decide({2}), ElementsAre(2));
  EXPECT_THAT(decide(), IsEmpty());
  EXPECT_EQ(core_.locked_rows(), 1u);
  pass(1s);
  EXPECT_THAT(decide(), ElementsAre(2));
  EXPECT_EQ(core_.locked_rows(), 0u);
}

TEST_F(core_locked, with_the_lead_goes_what_was_to_be_decided_and_a_mark_stays) {
  lead();
  read({message(1), message(2)});
  published();
  confirm({1});
  ASSERT_THAT(settle({1}), ElementsAre(1));
  lands(2, verdict::refused);
  ASSERT_THAT(decide({2}), ElementsAre(2));
  core_.lead_lost();
  poll();
  EXPECT_EQ(core_.locked_rows(), 1u);
  EXPECT_EQ(core_.rows_in_memory(), 1u);
  EXPECT_THAT(settle(), ElementsAre(1));
  EXPECT_THAT(decide(), IsEmpty());
}

TEST_F(core_locked, a_drain_waits_for_it) {
  lead();
  read({message(1)});
  published();
  confirm({1});
  core_.drain();
  ASSERT_THAT(settle({1}), ElementsAre(1));
  EXPECT_FALSE(core_.drained());
  pass(1s);
  EXPECT_THAT(settle(), ElementsAre(1));
  EXPECT_TRUE(core_.drained());
}

}  // namespace
}  // namespace outboxd::relay
