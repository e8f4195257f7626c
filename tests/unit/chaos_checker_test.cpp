// The judge of the chaos runs is judged here: each kind of broken promise is found, and named, and
// a world in which all of them hold is left alone.
#include "tests/chaos/checker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outboxd::chaos {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<promise> broken(const verdict& v) {
  std::vector<promise> names;
  for (std::size_t i = 0; i < promises; ++i) {
    if (v.breaches[i].count > 0) names.push_back(static_cast<promise>(i));
  }
  return names;
}

// Two rows of one key and one without, in two queues, and everything as it should be.
struct chaos_checker : testing::Test {
  facts world;

  chaos_checker() {
    write(1, "k");
    write(2, "k");
    write(3, std::nullopt);
    for (const std::int64_t id : {1, 2, 3}) arrive(id);
  }

  written_row& write(std::int64_t id, std::optional<std::string> key) {
    world.written.push_back({.message_id = "m" + std::to_string(id),
                             .id = id,
                             .key = std::move(key),
                             .queues = {"a", "b"},
                             .body_hash = static_cast<std::uint64_t>(id) * 100});
    world.table.push_back(
        {.message_id = "m" + std::to_string(id), .status = "sent", .last_error = "", .id = id});
    return world.written.back();
  }

  written_row& row(std::int64_t id) {
    return *std::ranges::find(world.written, id, &written_row::id);
  }
  table_row& in_table(std::int64_t id) {
    return *std::ranges::find(world.table, id, &table_row::id);
  }

  delivery& arrive(std::int64_t id, const std::string& queue) {
    const written_row& of = row(id);
    world.deliveries.push_back({.queue = queue,
                                .message_id = of.message_id,
                                .id = id,
                                .key = of.key,
                                .body_hash = of.body_hash,
                                .at = 10ms});
    return world.deliveries.back();
  }
  void arrive(std::int64_t id) {
    arrive(id, "a");
    arrive(id, "b");
  }
  void never_arrived(std::int64_t id, const std::string& queue) {
    std::erase_if(world.deliveries,
                  [&](const delivery& d) { return d.id == id && d.queue == queue; });
  }

  // Poison that has met its fate.
  void poisoned(std::int64_t id, poison bad, const std::string& status, const std::string& error) {
    write(id, "k").bad = bad;
    row(id).queues.clear();
    in_table(id).status = status;
    in_table(id).last_error = error;
  }
};

TEST_F(chaos_checker, is_content_when_everything_arrived_once_and_in_order) {
  const verdict v = judge(world);
  EXPECT_THAT(broken(v), IsEmpty());
  EXPECT_TRUE(v.holds());
  EXPECT_EQ(v.committed, 3u);
  EXPECT_EQ(v.delivered, 6u);
}

TEST_F(chaos_checker, finds_a_row_that_is_sent_and_arrived_nowhere) {
  never_arrived(2, "b");
  const verdict v = judge(world);
  EXPECT_THAT(broken(v), ElementsAre(promise::delivered, promise::sent_is_arrived));
  EXPECT_THAT(v.of(promise::delivered).examples, ElementsAre("row 2 (m2) of key k in b"));
}

TEST_F(chaos_checker, allows_a_deleted_queue_its_loss) {
  never_arrived(2, "b");
  world.lossy_queues = {"b"};
  EXPECT_THAT(broken(judge(world)), IsEmpty());
}

TEST_F(chaos_checker, finds_a_row_that_was_rolled_back_and_arrived) {
  row(3).outcome = fate::rolled_back;
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::no_phantom));
}

TEST_F(chaos_checker, finds_a_message_that_nobody_wrote) {
  arrive(3, "a").message_id = "stranger";
  world.incidents = {{.kind = "crash", .allowance = 1}};
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::no_phantom));
}

TEST_F(chaos_checker, lets_a_forgotten_row_arrive_or_not_and_gives_it_no_place_in_its_key) {
  write(4, "k").outcome = fate::forgotten;
  arrive(4, "a");
  std::erase_if(world.table, [](const table_row& r) { return r.id == 4; });
  write(4, "k").message_id = "again";  // the id, after the crash
  world.table.back().message_id = "again";
  for (const char* queue : {"a", "b"}) {
    delivery& d = arrive(4, queue);
    d.message_id = "again";
  }
  EXPECT_THAT(broken(judge(world)), IsEmpty());
}

TEST_F(chaos_checker, finds_a_later_row_of_a_key_that_came_first) {
  never_arrived(1, "b");
  arrive(1, "b");
  const verdict v = judge(world);
  EXPECT_THAT(broken(v), ElementsAre(promise::in_order));
  EXPECT_THAT(v.of(promise::in_order).examples,
              ElementsAre("row 1 (m1) of key k after row 2 (m2) of key k in b"));
}

TEST_F(chaos_checker,
       a_row_that_the_broker_gave_before_to_a_lost_consumer_has_no_place_in_the_order) {
  never_arrived(1, "b");
  arrive(1, "b").redelivered = true;
  EXPECT_THAT(broken(judge(world)), IsEmpty());
}

TEST_F(chaos_checker, knows_no_order_of_scheduled_rows_and_of_rows_without_a_key) {
  row(1).not_before = 5ms;
  write(4, std::nullopt);
  world.deliveries.clear();
  for (const std::int64_t id : {4, 3, 2, 1}) arrive(id);
  EXPECT_THAT(broken(judge(world)), IsEmpty());
}

TEST_F(chaos_checker, a_second_copy_has_no_place_in_the_order) {
  arrive(1, "a");
  world.incidents = {{.kind = "crash", .from = 1ms, .to = 2ms, .allowance = 1}};
  const verdict v = judge(world);
  EXPECT_THAT(broken(v), IsEmpty());
  EXPECT_EQ(v.duplicates, 1u);
  EXPECT_THAT(v.duplicates_after, ElementsAre(testing::Pair("crash", 1)));
}

TEST_F(chaos_checker, finds_more_duplicates_than_the_incidents_explain) {
  world.incidents = {{.kind = "crash", .from = 1ms, .to = 2ms, .allowance = 1}};
  arrive(1, "a");
  arrive(2, "a");
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::few_duplicates));
}

TEST_F(chaos_checker, finds_a_row_that_comes_again_and_again) {
  world.incidents = {{.kind = "crash", .from = 1ms, .to = 2ms, .allowance = 100}};
  for (int i = 0; i < 10; ++i) arrive(1, "a");
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::few_duplicates));
}

TEST_F(chaos_checker, does_not_count_what_the_broker_redelivers) {
  arrive(1, "a").redelivered = true;
  const verdict v = judge(world);
  EXPECT_THAT(broken(v), IsEmpty());
  EXPECT_EQ(v.redelivered, 1u);
  EXPECT_EQ(v.duplicates, 0u);
}

TEST_F(chaos_checker, takes_a_redelivery_for_the_first_delivery_where_there_was_none) {
  std::ranges::find(world.deliveries, 3, &delivery::id)->redelivered = true;
  EXPECT_THAT(broken(judge(world)), IsEmpty());
}

TEST_F(chaos_checker, finds_rows_that_are_stuck) {
  for (const char* status : {"pending", "deferred"}) {
    in_table(2).status = status;
    EXPECT_THAT(broken(judge(world)), ElementsAre(promise::not_stuck)) << status;
  }
}

TEST_F(chaos_checker, finds_a_good_row_that_was_given_up) {
  in_table(2).status = "dead";
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::dead_for_a_reason));
}

TEST_F(chaos_checker, expects_poison_to_be_dead_for_its_own_reason_or_to_wait) {
  poisoned(4, poison::invalid, "dead", "invalid: CC");
  poisoned(5, poison::refused, "dead", "refused: 406 PRECONDITION_FAILED");
  poisoned(6, poison::too_large, "dead", "too_large: 3 bytes");
  poisoned(7, poison::no_exchange, "deferred", "no_exchange: 404");
  poisoned(8, poison::unroutable, "pending", "");
  EXPECT_THAT(broken(judge(world)), IsEmpty());
}

TEST_F(chaos_checker, finds_poison_that_is_dead_for_another_reason) {
  poisoned(4, poison::invalid, "dead", "refused: 406 PRECONDITION_FAILED");
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::dead_for_a_reason));
}

TEST_F(chaos_checker, finds_waiting_poison_that_was_given_up_or_is_said_to_be_sent) {
  for (const char* status : {"dead", "sent"}) {
    poisoned(4, poison::unroutable, status, "returned: 312 NO_ROUTE");
    EXPECT_THAT(broken(judge(world)), ElementsAre(promise::dead_for_a_reason)) << status;
    world.written.pop_back();
    world.table.pop_back();
  }
}

TEST_F(chaos_checker, finds_poison_that_waits_although_it_can_never_go) {
  poisoned(4, poison::too_large, "pending", "");
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::not_stuck));
}

TEST_F(chaos_checker, finds_poison_that_arrived) {
  poisoned(4, poison::refused, "dead", "refused: 406 PRECONDITION_FAILED");
  arrive(4, "a");
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::dead_for_a_reason));
}

TEST_F(chaos_checker, finds_a_body_an_id_or_a_key_that_changed_on_the_way) {
  const auto delivered = world.deliveries;
  world.deliveries[0].body_hash = 7;
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::unaltered));
  world.deliveries = delivered;
  world.deliveries[0].id = 7;
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::unaltered));
  world.deliveries = delivered;
  world.deliveries[0].key = "other";
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::unaltered));
}

TEST_F(chaos_checker, finds_a_message_in_a_queue_where_it_does_not_belong) {
  arrive(3, "c");
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::unaltered));
}

TEST_F(chaos_checker, finds_two_bodies_under_one_message_id) {
  write(4, std::nullopt).message_id = "m3";
  row(4).outcome = fate::forgotten;
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::one_body_per_id));
}

TEST_F(chaos_checker, finds_a_scheduled_row_that_came_too_early) {
  row(3).not_before = 11ms;
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::not_too_early));
}

TEST_F(chaos_checker, finds_a_committed_row_that_has_vanished) {
  std::erase_if(world.table, [](const table_row& r) { return r.id == 3; });
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::kept));
}

TEST_F(chaos_checker, takes_a_row_that_is_gone_for_sent_where_sent_rows_are_deleted) {
  world.keeps_sent = false;
  world.table.clear();
  EXPECT_THAT(broken(judge(world)), IsEmpty());
  never_arrived(2, "b");
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::delivered, promise::sent_is_arrived));
  write(4, std::nullopt).bad = poison::too_large;
  world.table.clear();
  EXPECT_GT(judge(world).of(promise::dead_for_a_reason).count, 0u);
}

TEST_F(chaos_checker, expects_no_order_of_pipelined_keys) {
  never_arrived(1, "b");
  arrive(1, "b");
  world.keeps_order = false;
  EXPECT_THAT(broken(judge(world)), IsEmpty());
}

TEST_F(chaos_checker, finds_a_sidecar_that_ended_by_itself) {
  world.crashes = {"sidecar 0: killed by signal 6"};
  EXPECT_THAT(broken(judge(world)), ElementsAre(promise::survives));
}

TEST_F(chaos_checker, keeps_a_few_examples_and_counts_the_rest) {
  for (std::int64_t id = 10; id < 40; ++id) {
    write(id, std::nullopt);
    in_table(id).status = "pending";
  }
  const verdict v = judge(world);
  EXPECT_EQ(v.of(promise::not_stuck).count, 30u);
  EXPECT_LT(v.of(promise::not_stuck).examples.size(), 20u);
}

}  // namespace
}  // namespace outboxd::chaos
