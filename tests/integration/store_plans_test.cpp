// The statements of the relay use their partial indexes whatever the statistics say: a queue is
// empty when it is analysed and full a second later, or the other way round.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "outbox/pg_sql.hpp"
#include "tests/support/outbox_database.hpp"

namespace outboxd::tests {
namespace {

struct table_state {
  std::string name;
  std::vector<std::string> made_by;
};

const std::string fill = "INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload";

std::vector<table_state> states() {
  const std::string analyze = "ANALYZE \"outbox\".messages";
  const std::string pending =
      fill + ") SELECT 'q', 'k' || i % 100, 'x' FROM generate_series(1, 30000) AS i";
  const std::string scheduled =
      fill +
      ", not_before) SELECT 'q', 'k', 'x', now() + interval '1 day' FROM generate_series(1, 30000)";
  const std::string sent =
      "UPDATE \"outbox\".messages SET status = 'sent', sent_at = now() WHERE id <= 29990";
  return {
      {"fresh", {}},
      {"analysed_empty_then_filled", {analyze, pending}},
      {"analysed_full", {pending, analyze}},
      {"sent_since_it_was_analysed", {pending, analyze, sent}},
      {"vacuumed_since_it_was_analysed", {pending, analyze, sent, "VACUUM \"outbox\".messages"}},
      {"nearly_all_sent", {pending, sent, "VACUUM ANALYZE \"outbox\".messages"}},
      {"scheduled_not_analysed", {analyze, scheduled}},
      {"scheduled_for_one_instant", {scheduled, analyze}},
      {"due_at_one_instant",
       {scheduled, "UPDATE \"outbox\".messages SET due_at = now() - interval '1 day'", analyze}},
  };
}

class store_plans : public testing::TestWithParam<table_state> {
 protected:
  store_plans() {
    db_.run("ALTER TABLE \"outbox\".messages SET (autovacuum_enabled = false)");
    for (const auto& sql : GetParam().made_by) db_.run(sql);
    for (const auto& [name, value] : outbox::plan_settings()) {
      db_.run(std::string("SET ").append(name).append(" = ").append(value));
    }
  }

  std::string plan_of(const outbox::statement& s, const std::string& values) {
    db_.run("PREPARE " + s.name + " AS " + s.sql);
    std::string plan;
    for (const auto& line : db_.run("EXPLAIN EXECUTE " + s.name + "(" + values + ")")) {
      plan += line[0].c_str();
      plan += '\n';
    }
    return plan;
  }

  outbox_database db_;
  outbox::store_statements sql_{"outbox"};
};

TEST_P(store_plans, reading_visits_the_partial_indexes_only) {
  const auto plan = plan_of(
      sql_.read, "0, '{5,20}', '{6,30}', 1000, '{k1,k2}', '{1,1}', '{10,10}', 200, 65536, 4000000");
  EXPECT_THAT(plan, testing::HasSubstr("messages_pending"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_due"));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("messages_pkey")));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Seq Scan")));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Bitmap")));
}

TEST_P(store_plans, measuring_visits_the_partial_indexes_only) {
  const auto plan = plan_of(sql_.measure, "100000");
  EXPECT_THAT(plan, testing::HasSubstr("messages_pending"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_due"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_dead"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_failed"));
  EXPECT_THAT(plan, testing::Not(testing::ContainsRegex("Seq Scan on messages")));
}

TEST_P(store_plans, writing_goes_by_primary_key_in_the_order_of_its_arrays) {
  const std::string refs =
      "'{1,2}', '{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}'";
  for (const auto& plan :
       {plan_of(sql_.mark_sent, refs), plan_of(sql_.delete_sent, refs),
        plan_of(sql_.decide, "1, " + refs + ", '{t,f}', '{1,2}', '{a,b}'"),
        plan_of(sql_.load_bodies, refs), plan_of(sql_.purge, "0, 1000, 1000, 1000, true")}) {
    EXPECT_THAT(plan, testing::HasSubstr("messages_pkey"));
    EXPECT_THAT(plan, testing::HasSubstr("Nested Loop"));
    EXPECT_THAT(plan, testing::Not(testing::ContainsRegex("Seq Scan on messages")));
  }
}

TEST_P(store_plans, failed_rows_are_found_without_the_scheduled_ones) {
  EXPECT_THAT(plan_of(sql_.load_failed, "1000"), testing::HasSubstr("messages_failed"));
}

INSTANTIATE_TEST_SUITE_P(whatever_the_statistics_say, store_plans, testing::ValuesIn(states()),
                         [](const auto& state) { return state.param.name; });

}  // namespace
}  // namespace outboxd::tests
