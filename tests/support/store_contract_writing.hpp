// What settle(), decide(), measure() and purge() promise. See store_contract.hpp.
#pragma once

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

TEST_P(store_contract, settled_rows_are_sent_and_not_read_again) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  EXPECT_EQ(settle({b, a}), 2u);
  EXPECT_TRUE(read().rows.empty());
  EXPECT_EQ(state_of(a).status, "sent");
  EXPECT_TRUE(state_of(a).has_sent_at);
}

TEST_P(store_contract, settling_twice_changes_nothing) {
  const auto a = world().insert(text_row("a"));
  EXPECT_EQ(settle({a}), 1u);
  EXPECT_EQ(settle({a}), 0u);
  EXPECT_EQ(settle({}), 0u);
}

TEST_P(store_contract, a_reissued_id_is_not_settled_by_the_old_rows_ack) {
  const auto old = world().insert(text_row("a"));
  const auto epoch = world().take_lead();
  const auto reissued = world().reissue(old.id);
  ASSERT_EQ(reissued.id, old.id);
  EXPECT_EQ(settle({old}), 0u);
  EXPECT_TRUE(decide(epoch, {dead(old)}).empty());
  EXPECT_EQ(state_of(reissued).status, "pending");
  EXPECT_EQ(settle({reissued}), 1u);
}

TEST_P(store_contract, a_fact_counts_whoever_leads_and_also_for_a_deferred_row) {
  const auto a = world().insert(text_row("a"));
  const auto epoch = world().take_lead();
  decide(epoch, {deferred(a)});
  world().take_lead();
  EXPECT_EQ(settle({a}), 1u);
  EXPECT_EQ(state_of(a).status, "sent");
}

TEST_P(store_contract, a_dead_row_is_not_settled) {
  const auto a = world().insert(text_row("a"));
  decide(world().take_lead(), {dead(a)});
  EXPECT_EQ(settle({a}), 0u);
  EXPECT_EQ(state_of(a).status, "dead");
}

TEST_P(store_contract, settled_rows_are_deleted_where_nothing_is_kept) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  world().delete_on_ack();
  EXPECT_EQ(settle({a}), 1u);
  EXPECT_EQ(settle({a}), 0u);
  EXPECT_FALSE(world().find(a.id).has_value());
  EXPECT_EQ(ids(read().rows), std::vector{b.id});
}

TEST_P(store_contract, a_deferred_row_counts_its_attempt_and_comes_back_when_due) {
  const auto a = world().insert(text_row("a"));
  const auto epoch = world().take_lead();
  EXPECT_EQ(decide(epoch, {deferred(a, 1h)}), std::vector{a});
  EXPECT_EQ(state_of(a).status, "deferred");
  EXPECT_EQ(state_of(a).attempts, 1);
  EXPECT_TRUE(state_of(a).failing);
  EXPECT_EQ(state_of(a).last_error, "returned");

  const auto waiting = read();
  EXPECT_TRUE(waiting.rows.empty() && waiting.due.empty());
  EXPECT_LE(waiting.next_due_in.value(), 1h);
  EXPECT_GT(waiting.next_due_in.value(), 59min);

  world().grow_older(61min);
  const auto due = read().due;
  ASSERT_EQ(ids(due), std::vector{a.id});
  EXPECT_EQ(due[0].attempts, 1);
  EXPECT_EQ(decide(epoch, {deferred(a, 1h, 1)}), std::vector{a});
  EXPECT_EQ(state_of(a).attempts, 2);
  EXPECT_TRUE(read().due.empty());
}

TEST_P(store_contract, a_dead_row_is_out_of_the_way) {
  const auto a = world().insert(text_row("a"));
  EXPECT_EQ(decide(world().take_lead(), {dead(a)}), std::vector{a});
  EXPECT_EQ(state_of(a).status, "dead");
  EXPECT_EQ(state_of(a).attempts, 1);
  EXPECT_EQ(state_of(a).last_error, "refused");
  world().grow_older(1h);
  const auto answer = read();
  EXPECT_TRUE(answer.rows.empty() && answer.due.empty());
}

TEST_P(store_contract, a_decision_of_an_earlier_leader_changes_nothing) {
  const auto a = world().insert(text_row("a"));
  const auto old_epoch = world().take_lead();
  const auto epoch = world().take_lead();
  EXPECT_TRUE(decide(old_epoch, {dead(a)}).empty());
  EXPECT_EQ(state_of(a).status, "pending");
  EXPECT_EQ(decide(epoch, {dead(a)}).size(), 1u);
}

TEST_P(store_contract, a_decision_answers_with_the_rows_it_changed) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  const auto c = world().insert(text_row("c"));
  const auto epoch = world().take_lead();
  settle({b});
  world().erase(c.id);
  EXPECT_EQ(decide(epoch, {deferred(c), deferred(b), deferred(a)}), std::vector{a});
  EXPECT_TRUE(decide(epoch, {}).empty());
}

TEST_P(store_contract, a_decision_about_a_row_that_has_changed_since_changes_nothing) {
  const auto a = world().insert(text_row("a"));
  const auto epoch = world().take_lead();
  decide(epoch, {deferred(a)});
  auto other = deferred(a);
  other.last_error = "nacked";
  EXPECT_TRUE(decide(epoch, {other}).empty()) << "it was read before it failed";
  EXPECT_TRUE(decide(epoch, {dead(a)}).empty());
  EXPECT_TRUE(decide(epoch, {deferred(a, 1h, 2)}).empty());
  EXPECT_EQ(state_of(a).attempts, 1);
  EXPECT_EQ(state_of(a).last_error, "returned");
}

TEST_P(store_contract, a_decision_repeated_changes_nothing_twice_and_answers_as_before) {
  const auto waits = world().insert(text_row("a"));
  const auto died = world().insert(text_row("b"));
  const auto epoch = world().take_lead();
  auto long_error = deferred(waits, 1h);
  long_error.last_error = std::string(2000, 'e');
  const std::vector decisions{long_error, dead(died)};
  EXPECT_EQ(decide(epoch, decisions), (std::vector{waits, died}));
  world().grow_older(30min);
  EXPECT_EQ(decide(epoch, decisions), (std::vector{waits, died}));
  EXPECT_EQ(state_of(waits).attempts, 1);
  EXPECT_EQ(state_of(died).attempts, 1);
  EXPECT_EQ(state_of(died).status, "dead");
  world().grow_older(31min);
  EXPECT_EQ(ids(read().due), std::vector{waits.id}) << "an hour after the first, not the second";

  EXPECT_EQ(settle({waits}), 1u);
  EXPECT_TRUE(decide(epoch, {long_error}).empty());
  world().take_lead();
  EXPECT_TRUE(decide(epoch, {dead(died)}).empty());
}

TEST_P(store_contract, an_error_text_is_kept_up_to_a_thousand_bytes) {
  const auto a = world().insert(text_row("a"));
  auto verdict = dead(a);
  verdict.last_error = std::string(2000, 'e');
  decide(world().take_lead(), {verdict});
  EXPECT_EQ(state_of(a).last_error, std::string(1000, 'e'));
}

TEST_P(store_contract, an_empty_backlog_measures_zero) {
  const auto b = measure();
  EXPECT_EQ(b.pending + b.deferred + b.dead, 0);
  EXPECT_FALSE(b.oldest_due_age.has_value());
}

TEST_P(store_contract, the_backlog_counts_each_kind) {
  const auto epoch = world().take_lead();
  for (int i = 0; i < 3; ++i) world().insert(text_row("p"));
  world().insert(text_row("s"), world().now() + 1h);
  const auto d = world().insert(text_row("d"));
  decide(epoch, {deferred(d)});
  const auto killed = world().insert(text_row("x"));
  decide(epoch, {dead(killed)});
  settle({world().insert(text_row("sent"))});
  const auto b = measure();
  EXPECT_EQ(b.pending, 3);
  EXPECT_EQ(b.deferred, 2);
  EXPECT_EQ(b.dead, 1);
}

TEST_P(store_contract, the_newest_of_the_dead_are_counted_by_the_reason_of_their_last_error) {
  const auto epoch = world().take_lead();
  const auto died_of = [&](const std::string& words, std::optional<std::string> key = {}) {
    auto d = dead(world().insert(text_row("x", key)));
    d.last_error = words;
    return d;
  };
  using reasons = std::map<std::string, std::int64_t>;
  EXPECT_EQ(measure().dead_reasons, reasons());
  decide(epoch,
         {died_of("too_large: 17 bytes: in all"), died_of("too_large: 18 bytes"),
          died_of("refused: 406", "k"), died_of("nacked"), died_of("What I wrote: x"),
          died_of("a_word_that_is_longer_than_any_of_ours_is"), died_of(""), died_of("a=1,b: x")});
  EXPECT_EQ(measure().dead_reasons,
            (reasons{{"nacked", 1}, {"other", 4}, {"refused", 1}, {"too_large", 2}}));
  std::vector<outbox::decision> many;
  for (int i = 0; i < outbox::dead_rows_asked - 1; ++i)
    many.push_back(
        died_of("invalid: x", i % 2 == 0 ? std::optional<std::string>("k") : std::nullopt));
  decide(epoch, many);
  EXPECT_EQ(measure().dead_reasons, (reasons{{"invalid", 999}, {"other", 1}}));
}

TEST_P(store_contract, pending_rows_are_counted_where_they_are_said_to_be) {
  std::vector<std::int64_t> rows;
  for (int i = 0; i < 6; ++i) {
    rows.push_back(world().insert(text_row("p")).id);
    world().grow_older(1h);
  }
  EXPECT_EQ(measure({{rows[1], rows[2]}, {rows[4], last_id}}).pending, 4);
  EXPECT_LT(measure({{rows[1], rows[2]}, {rows[4], last_id}}).oldest_due_age.value(), 5h + 1min);
  EXPECT_EQ(measure({{rows[5], rows[5]}}).pending, 1);
  EXPECT_EQ(measure({{rows[5] + 1, last_id}}).pending, 0);
  EXPECT_FALSE(measure({{rows[5] + 1, last_id}}).oldest_due_age.has_value());
  EXPECT_EQ(measure({}).pending, 0);
}

TEST_P(store_contract, the_oldest_age_is_that_of_a_row_that_should_be_out) {
  const auto scheduled = world().insert(text_row("scheduled"), world().now() + 1h);
  world().grow_older(10min);
  EXPECT_FALSE(measure().oldest_due_age.has_value()) << "it is not late";

  const auto pending = world().insert(text_row("pending"));
  world().grow_older(20min);
  EXPECT_GE(measure().oldest_due_age.value(), 20min);
  EXPECT_LT(measure().oldest_due_age.value(), 21min);

  settle({pending});
  world().grow_older(35min);
  EXPECT_GE(measure().oldest_due_age.value(), 5min)
      << "the scheduled row came due five minutes ago";
  EXPECT_LT(measure().oldest_due_age.value(), 6min);

  decide(world().take_lead(), {deferred(scheduled, 1h)});
  EXPECT_GE(measure().oldest_due_age.value(), 5min) << "it failed, and is as late as before";
  EXPECT_LT(measure().oldest_due_age.value(), 6min);
}

TEST_P(store_contract, a_failed_row_is_late_since_it_was_written) {
  const auto a = world().insert(text_row("a"));
  world().grow_older(30min);
  decide(world().take_lead(), {deferred(a, 1h)});
  EXPECT_GE(measure().oldest_due_age.value(), 30min);
}

TEST_P(store_contract, a_row_that_is_sent_again_waits_since_then) {
  const auto a = world().insert(text_row("a"));
  settle({a});
  world().grow_older(24h);
  world().replay(a.id);
  world().grow_older(10min);
  const auto again = read().due;
  ASSERT_EQ(ids(again), std::vector{a.id});
  EXPECT_TRUE(again[0].sent_before);
  EXPECT_EQ(again[0].attempts, 0);
  const auto expect_ten_minutes = [&](std::chrono::microseconds age, const char* where) {
    EXPECT_GE(age, 10min) << where;
    EXPECT_LT(age, 11min) << where;
  };
  expect_ten_minutes(again[0].age, "read");
  expect_ten_minutes(measure().oldest_due_age.value(), "due");
  const auto epoch = world().take_lead();
  decide(epoch, {pending(a)});
  const auto waiting = read().rows;
  ASSERT_EQ(ids(waiting), std::vector{a.id});
  EXPECT_TRUE(waiting[0].sent_before);
  expect_ten_minutes(waiting[0].age, "waits behind others");
  expect_ten_minutes(measure().oldest_due_age.value(), "waits behind others");
  decide(epoch, {deferred(a, 1h)});
  EXPECT_LT(measure().oldest_due_age.value(), 1min) << "late since it failed first";
  settle({a});
  EXPECT_EQ(state_of(a).status, "sent");
  EXPECT_FALSE(measure().oldest_due_age.has_value());
}

// An hour's worth of rows that are sent again must not keep those behind them from leaving.
TEST_P(store_contract, purge_goes_past_rows_that_were_sent_lately_although_they_are_old) {
  std::vector<outbox::row_ref> rows;
  rows.reserve(30);
  for (int i = 0; i < 30; ++i) rows.push_back(world().insert(text_row("x")));
  settle({rows.begin() + 20, rows.end()});
  world().grow_older(2h);
  settle({rows.begin(), rows.begin() + 20});
  EXPECT_EQ(purge(1h, 1h, 5), 5u);
  EXPECT_EQ(purge(1h, 1h, 5), 5u);
  EXPECT_EQ(purge(1h, 1h, 5), 0u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_TRUE(world().find(rows[i].id).has_value());
}

TEST_P(store_contract, purge_removes_what_was_sent_or_died_long_ago) {
  const auto epoch = world().take_lead();
  const auto pending = world().insert(text_row("pending"));
  const auto old_dead = world().insert(text_row("dead"));
  const auto old_sent = world().insert(text_row("sent"));
  decide(epoch, {dead(old_dead)});
  settle({old_sent});
  world().grow_older(2h);
  const auto new_dead = world().insert(text_row("dead"));
  const auto new_sent = world().insert(text_row("sent"));
  decide(epoch, {dead(new_dead)});
  settle({new_sent});

  EXPECT_EQ(purge(1h, 3h), 1u);
  EXPECT_FALSE(world().find(old_sent.id).has_value());
  EXPECT_EQ(purge(3h, 1h), 1u);
  EXPECT_FALSE(world().find(old_dead.id).has_value());
  EXPECT_EQ(purge(1h, 1h), 0u);
  for (const auto& kept : {pending, new_dead, new_sent})
    EXPECT_TRUE(world().find(kept.id).has_value());
}

TEST_P(store_contract, purge_goes_in_batches_and_comes_round_again) {
  std::vector<outbox::row_ref> rows;
  rows.reserve(25);
  for (int i = 0; i < 25; ++i) rows.push_back(world().insert(text_row("x")));
  settle(rows);
  world().grow_older(2h);
  EXPECT_EQ(purge(1h, 1h, 10), 10u);
  EXPECT_EQ(purge(1h, 1h, 10), 10u);
  EXPECT_EQ(purge(1h, 1h, 10), 5u);
  // Behind rows that stay, and after the end was reached once.
  for (int i = 0; i < 30; ++i) world().insert(text_row("stays"));
  const auto late = world().insert(text_row("x"));
  settle({late});
  world().grow_older(2h);
  EXPECT_EQ(purge(1h, 1h, 10), 1u);
}

}  // namespace outboxd::tests
