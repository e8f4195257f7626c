// What operators pause: what stays, what goes on, and what happens afterwards.
#include <algorithm>

#include "tests/unit/core_fixture.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const outbox::pause_scope everything{}, exchange_x{"x", std::nullopt}, key_k{std::nullopt, "k"};

outbox::message at(std::string exchange, outbox::message m) {
  m.exchange = std::move(exchange);
  return m;
}

class core_pause : public core_test {
 protected:
  // The core hears of it with its next read, which finds nothing.
  void pause(const outbox::pause_scope& scope) { hear_of({all_of(scope)}); }
  void resume() { hear_of({}); }
  void hear_of(std::vector<outbox::pause_in_force> all) {
    core_test::pause(std::move(all));
    wake();
    answer_reads();
  }
  // Those that were sent before it was known what is paused: they find nothing.
  void answer_reads() {
    for (int i = 0; i < 3 && asked_to_read(); ++i) read({});
  }
  void go_on_with(std::vector<outbox::message> skipped) {
    pauses_.clear();
    pass(1s);
    if (asked_to_read() && !walks()) read({});
    read_below(std::move(skipped));
  }
  bool walks() const {
    return std::ranges::any_of(todo_, [](const action& a) {
      const auto* asked = std::get_if<do_read>(&a);
      return asked != nullptr && asked->request.below;
    });
  }
  bool asked_to_read() const {
    return std::ranges::any_of(todo_,
                               [](const action& a) { return std::holds_alternative<do_read>(a); });
  }
  // More of the table.
  void read_on(std::vector<outbox::message> rows) {
    wake();
    read(std::move(rows));
  }
};

TEST_F(core_pause, nothing_is_read_before_it_is_known_what_is_paused) {
  core_.lead_gained(epoch_, now_);
  core_.poll(now_, todo_);
  ASSERT_TRUE(take<do_load_pauses>());
  ASSERT_TRUE(take<do_load_failed>());
  core_.failed_loaded(std::vector<outbox::failed_row>{}, now_);
  core_.poll(now_, todo_);
  ASSERT_TRUE(take<do_read>());
  outbox::read_answer early = answer();
  early.rows.push_back(message(1));
  core_.read_answered(std::move(early), now_);
  core_.poll(now_, todo_);
  EXPECT_THAT(published(), IsEmpty());
  core_.pauses_loaded(std::vector{all_of(exchange_x)}, now_);
  core_.poll(now_, todo_);
  read({message(1), at("x", message(2))});
  EXPECT_THAT(published(), ElementsAre(1));
}

TEST_F(core_pause, when_everything_is_paused_nothing_goes_and_nothing_is_read) {
  lead();
  read({message(1, "k"), message(2, "k")});
  EXPECT_THAT(published(), ElementsAre(1));
  pause(everything);
  lands(1, verdict::confirmed);
  EXPECT_THAT(published(), IsEmpty()) << "the second of its key could go now";
  EXPECT_TRUE(take<do_settle>()) << "what was confirmed is marked all the same";
  pass(1min);
  wake();
  EXPECT_FALSE(asked_to_read());
  pauses_.clear();
  pass(1s);
  EXPECT_THAT(published(), ElementsAre(2));
  EXPECT_TRUE(asked_to_read());
}

TEST_F(core_pause, writers_need_not_notify_while_everything_is_paused) {
  lead();
  go_idle();
  pause(everything);
  pass(1s);
  EXPECT_TRUE(take<do_release_wake_lock>());
}

TEST_F(core_pause, what_goes_to_a_paused_exchange_waits_in_the_table_and_the_others_flow) {
  lead();
  pause(exchange_x);
  read_on({at("x", message(1)), message(2), at("x", message(3, "k")), message(4, "k")});
  EXPECT_THAT(published(), ElementsAre(2)) << "4 is behind 3, which waits";
  EXPECT_EQ(core_.rows_in_memory(), 1u);
  EXPECT_EQ(core_.held_destinations(), 0u);
  lands(2, verdict::confirmed);
  go_on_with({at("x", message(1)), at("x", message(3, "k")), message(4, "k")});
  EXPECT_THAT(published(), ElementsAre(1, 3));
}

TEST_F(core_pause, rows_in_memory_that_could_go_to_the_exchange_go_back) {
  start_anew([] {
    options o = small();
    o.max_in_flight = 1;
    return o;
  }());
  read({message(1), at("x", message(2)), at("x", message(3))});
  EXPECT_THAT(published(), ElementsAre(1));
  pause(exchange_x);
  EXPECT_EQ(core_.rows_in_memory(), 1u);
  lands(1, verdict::confirmed);
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(core_pause, a_row_that_fails_while_its_exchange_is_paused_burns_no_attempt) {
  lead();
  read({at("x", message(1)), at("x", message(2)), at("x", message(3))});
  EXPECT_THAT(published(), ElementsAre(1, 2, 3));
  pause(exchange_x);
  lands(1, verdict::returned);
  lands(2, verdict::unknown, doubt::connection_lost);
  lands(3, verdict::confirmed);
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_THAT(decide(), IsEmpty());
  take<do_settle>();
  core_.settled(outbox::settle_answer{1, {}}, now_);
  go_on_with({at("x", message(1)), at("x", message(2))});
  EXPECT_THAT(published(), ElementsAre(1, 2));
}

TEST_F(core_pause, nobody_asks_a_paused_exchange_whether_it_works) {
  lead();
  read({at("x", message(1)), at("x", message(2)), at("x", message(3))});
  for (const std::int64_t id : published()) lands(id, verdict::no_exchange);
  decide();
  ASSERT_EQ(core_.held_destinations(), 1u);
  pause(exchange_x);
  EXPECT_EQ(core_.held_destinations(), 0u);
  read_on({at("x", message(4)), at("x", message(5))});
  for (int minute = 0; minute < 10; ++minute) pass(1min);
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_TRUE(core_.holds().front().paused);
}

TEST_F(core_pause, a_paused_key_waits_and_goes_on_in_its_order) {
  lead();
  read({message(1, "k"), message(2, "k"), message(3, "other")});
  EXPECT_THAT(published(), ElementsAre(1, 3));
  pause(key_k);
  EXPECT_EQ(core_.held_keys(), 0u) << "nothing of it has failed";
  lands(1, verdict::confirmed);
  EXPECT_THAT(published(), IsEmpty());
  read_on({message(4, "k"), message(5, "other")});
  EXPECT_THAT(published(), IsEmpty()) << "3 of the other key is in flight";
  lands(3, verdict::confirmed);
  EXPECT_THAT(published(), ElementsAre(5));
  go_on_with({message(2, "k"), message(4, "k")});
  EXPECT_THAT(published(), ElementsAre(2));
}

TEST_F(core_pause, a_look_at_all_that_has_failed_does_not_end_a_pause) {
  lead();
  pause(key_k);
  pass(6min);
  answer_reads();
  ASSERT_TRUE(take<do_load_failed>());
  core_.failed_loaded(std::vector<outbox::failed_row>{}, now_);
  poll();
  read_on({message(1, "k")});
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(core_pause, it_ends_by_itself_when_its_time_is_over) {
  lead();
  outbox::pause_in_force for_a_minute = all_of(everything);
  for_a_minute.ends_in = 60s;
  hear_of({for_a_minute});
  pauses_.front().ends_in = 1s;
  pass(59s);
  EXPECT_FALSE(asked_to_read());
  ASSERT_TRUE(core_.next_poll());
  EXPECT_LE(*core_.next_poll() - now_, 1s);
  pauses_.clear();
  pass(1s);
  EXPECT_TRUE(asked_to_read());
  EXPECT_THAT(core_.paused(), IsEmpty());
}

TEST_F(core_pause, one_of_more_years_than_a_clock_counts_is_obeyed) {
  lead();
  outbox::pause_in_force for_ages = all_of(everything);
  for_ages.ends_in = for_ages.age = std::chrono::hours(24L * 366 * 290'000);
  hear_of({for_ages});
  ASSERT_EQ(core_.paused().size(), 1u);
  EXPECT_LT(core_.paused().front().since, now_);
  EXPECT_GT(core_.paused().front().ends_at, now_ + std::chrono::hours(24 * 365 * 99));
  wake();
  EXPECT_FALSE(asked_to_read());
}

TEST_F(core_pause, what_is_paused_is_looked_at_while_rows_are_here_and_not_when_there_is_nothing) {
  lead();
  go_idle();
  const auto idle = core_.next_poll();
  ASSERT_TRUE(idle);
  EXPECT_EQ(*idle - now_, small().poll_interval);
  wake();
  read({message(1, "k"), message(2, "k")});
  EXPECT_LE(*core_.next_poll() - now_, options{}.look_at_pauses);
}

// The notification may be an operator's, and what is known be a moment older than that.
TEST_F(core_pause, an_idle_relay_that_is_notified_looks_within_a_second) {
  lead();
  go_idle();
  pauses_ = {all_of(key_k)};
  wake();
  read({});
  EXPECT_THAT(core_.paused(), IsEmpty());
  ASSERT_LE(*core_.next_poll() - now_, options{}.look_at_pauses);
  pass(options{}.look_at_pauses);
  EXPECT_EQ(core_.paused().size(), 1u);
}

TEST_F(core_pause, a_pause_is_told_once_when_it_begins_and_once_when_it_ends) {
  lead();
  pause(exchange_x);
  auto told = take<do_tell_pause>();
  ASSERT_TRUE(told && told->what.began);
  EXPECT_EQ(told->what.what.what.scope, exchange_x);
  pass(5s);
  EXPECT_FALSE(take<do_tell_pause>());
  resume();
  told = take<do_tell_pause>();
  ASSERT_TRUE(told);
  EXPECT_FALSE(told->what.began);
}

}  // namespace
}  // namespace outboxd::relay
