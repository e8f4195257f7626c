// The statements of the relay use their partial indexes whatever the statistics say: a queue is
// empty when it is analysed and full a second later, or the other way round.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "outbox/exchanges_in_use.hpp"
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
  const std::string dead = "UPDATE \"outbox\".messages SET status = 'dead', ordering_key = NULL";
  const std::string failed =
      "UPDATE \"outbox\".messages SET status = 'deferred', attempts = 1, due_at = now()";
  return {
      {"fresh", {}},
      {"emptied_and_vacuumed",
       {pending, "DELETE FROM \"outbox\".messages", "VACUUM ANALYZE \"outbox\".messages"}},
      {"analysed_empty_then_filled", {analyze, pending}},
      {"analysed_full", {pending, analyze}},
      {"sent_since_it_was_analysed", {pending, analyze, sent}},
      {"vacuumed_since_it_was_analysed", {pending, analyze, sent, "VACUUM \"outbox\".messages"}},
      {"nearly_all_sent", {pending, sent, "VACUUM ANALYZE \"outbox\".messages"}},
      {"scheduled_not_analysed", {analyze, scheduled}},
      {"scheduled_for_one_instant", {scheduled, analyze}},
      {"due_at_one_instant",
       {scheduled, "UPDATE \"outbox\".messages SET due_at = now() - interval '1 day'", analyze}},
      {"failed_for_long",
       {pending, failed, "UPDATE \"outbox\".messages SET due_at = due_at + interval '1 day'",
        analyze}},
      {"dead_without_a_key", {pending, dead, analyze}},
      {"dead_since_it_was_analysed", {pending, analyze, dead}},
      {"dead_with_a_key", {pending, "UPDATE \"outbox\".messages SET status = 'dead'", analyze}},
      {"failed", {pending, failed, analyze}},
      {"failed_since_it_was_analysed", {pending, analyze, failed}},
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

  std::string plan_of(const outbox::statement& s, const std::string& values,
                      const std::string& how = "EXPLAIN") {
    if (prepared_.insert(s.name).second) db_.run("PREPARE " + s.name + " AS " + s.sql);
    std::string plan;
    const auto lines = db_.run(how + " EXECUTE " + s.name + "(" + values + ")");
    for (const auto& line : lines) {
      plan += line[0].c_str();
      plan += '\n';
    }
    return plan;
  }

  // How many rows of the table are looked at, whether or not they come back.
  std::int64_t visited_by(const outbox::statement& s, const std::string& values) {
    static const std::regex scan(R"(Scan.* on messages.*\(actual rows=(\d+) loops=(\d+)\))");
    static const std::regex filtered(R"(Rows Removed by Filter: (\d+))");
    std::istringstream plan(
        plan_of(s, values, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)"));
    std::int64_t visited = 0;
    std::int64_t loops = 0;  // of the scan whose details follow
    std::smatch found;
    for (std::string line; std::getline(plan, line);) {
      if (std::regex_search(line, found, scan)) {
        loops = std::stoll(found[2]);
        visited += loops * std::stoll(found[1]);
      } else if (line.find("->") != std::string::npos) {
        loops = 0;
      } else if (std::regex_search(line, found, filtered)) {
        visited += loops * std::stoll(found[1]);
      }
    }
    return visited;
  }

  outbox_database db_;
  outbox::store_statements sql_{"outbox"};
  std::set<std::string> prepared_;
};

// Frontier, gaps, limit; the scan; due rows; max_delay; largest inline body.
const std::string open_rows = "20000, '{5,20}', '{6,30}', 10, ";
const std::string few_of_some_keys = "5, 50, 300, '{k1,k2,nobody}', '{}', '{}', '{}', ";
const std::string few_of_all_rows = "5, 50, 300, '{}', '{elsewhere}', '{\"\",e}', '{q,r}', ";

TEST_P(store_plans, reading_visits_the_partial_indexes_only) {
  const auto plan =
      plan_of(sql_.read, open_rows + few_of_some_keys + "200, 1000, 65536, 10000, 30000");
  EXPECT_THAT(plan, testing::HasSubstr("messages_pending"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_due"));
  EXPECT_THAT(plan, testing::HasSubstr("hashed SubPlan"));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("messages_pkey")));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Seq Scan")));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Bitmap")));
}

TEST_P(store_plans, rows_that_are_locked_are_looked_for_by_their_ids) {
  const auto plan = plan_of(sql_.locked, "'{1,2,3}'");
  EXPECT_THAT(plan, testing::HasSubstr("messages_pkey"));
  EXPECT_THAT(plan, testing::HasSubstr("hashed SubPlan"));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Seq Scan")));
}

TEST_P(store_plans, reading_looks_at_no_more_rows_than_its_limits) {
  // Ten above the frontier and in each gap, whether there are any, a thousand that are due last,
  // ten that are due and the first that is not.
  const std::int64_t without_scan = 3 * 10 + 1 + 1000 + 10 + 1;
  // The rows, and the index once more for where the scan ended.
  const std::int64_t scan = 300 + 300;
  const std::string rest = "10, 1000, 65536, 30000, 30000";
  EXPECT_LE(visited_by(sql_.read, open_rows + few_of_some_keys + rest), without_scan + scan);
  EXPECT_LE(visited_by(sql_.read, open_rows + few_of_all_rows + rest), without_scan + scan);
  EXPECT_LE(visited_by(sql_.read, open_rows + "NULL, 1, 1, '{}', '{}', '{}', '{}', " + rest),
            without_scan);
}

TEST_P(store_plans,
       reading_what_is_new_visits_the_partial_indexes_only_and_no_more_than_its_limits) {
  const std::string values = "20000, 10, 10, 65536";
  const auto plan = plan_of(sql_.read_new, values);
  EXPECT_THAT(plan, testing::HasSubstr("messages_pending"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_due"));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("messages_pkey")));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Seq Scan")));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Bitmap")));
  // The next two, ten above the frontier, ten that are due and the first that is not.
  EXPECT_LE(visited_by(sql_.read_new, values), 2 + 10 + 10 + 1);
}

// For `outboxd check`, on a table of any size.
TEST_P(store_plans, listing_exchanges_looks_at_no_more_rows_than_its_limits) {
  const outbox::statement sql{"exchanges", outbox::exchanges_in_use_sql("outbox")};
  const auto plan = plan_of(sql, "100");
  EXPECT_THAT(plan, testing::HasSubstr("messages_pending"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_failed"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_due"));
  EXPECT_THAT(plan, testing::Not(testing::HasSubstr("Seq Scan on messages")));
  EXPECT_LE(visited_by(sql, "100"), 5 * 100);
}

TEST_P(store_plans, measuring_visits_the_partial_indexes_only) {
  const auto plan = plan_of(sql_.measure, "100000, '{1,500}', '{10,9223372036854775807}', 1000");
  EXPECT_THAT(plan, testing::HasSubstr("messages_pending"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_due"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_dead"));
  EXPECT_THAT(plan, testing::HasSubstr("messages_failed"));
  EXPECT_THAT(plan, testing::Not(testing::ContainsRegex("Seq Scan on messages")));
}

// One word of the newest rows: the others are not asked, nor sorted.
TEST_P(store_plans, the_dead_are_asked_backwards_by_their_index) {
  const auto plan = plan_of(sql_.measure, "100, '{1,500}', '{10,9223372036854775807}', 50");
  EXPECT_THAT(plan, testing::HasSubstr("Index Scan Backward using messages_dead"));
}

TEST_P(store_plans, measuring_looks_at_no_more_rows_than_its_limits) {
  // A hundred and one of each kind, the last pending row, the one that is due first, and of those
  // that may be the oldest a hundred that are pending and a thousand that have failed. Of the dead
  // those that are asked, with a key and without.
  EXPECT_LE(visited_by(sql_.measure, "100, '{1,500}', '{10,9223372036854775807}', 50"),
            3 * 101 + 2 + 100 + 1000 + 2 * 50);
}

TEST_P(store_plans, writing_goes_by_primary_key_in_the_order_of_its_arrays) {
  const std::string refs =
      "'{1,2}', '{00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002}'";
  for (const auto& plan :
       {plan_of(sql_.mark_sent, refs), plan_of(sql_.delete_sent, refs),
        plan_of(sql_.decide, "1, " + refs + ", '{0,1}', '{dead,deferred}', '{1,2}', '{a,b}'"),
        plan_of(sql_.load_bodies, refs), plan_of(sql_.purge, "0, 1000, 1000, 1000, true")}) {
    EXPECT_THAT(plan, testing::HasSubstr("messages_pkey"));
    // PostgreSQL 17 may look up two conditions at once: ((id = d.id) AND (id = ANY ($2))).
    EXPECT_THAT(plan, testing::ContainsRegex("Index Cond: [(]*id (=|>) "));
    EXPECT_THAT(plan, testing::Not(testing::ContainsRegex("Seq Scan on messages")));
  }
  for (const auto& settling : {sql_.mark_sent, sql_.delete_sent}) {
    EXPECT_THAT(plan_of(settling, refs), testing::HasSubstr("Index Cond: (id = ANY ($1))"));
    EXPECT_THAT(plan_of(settling, refs), testing::HasSubstr("hashed SubPlan"));
  }
}

TEST_P(store_plans, failed_rows_are_found_without_the_scheduled_ones_and_the_dead_without_a_key) {
  for (const std::string values : {"0, false, 100", "0, true, 100", "20000, true, 100"}) {
    const auto plan = plan_of(sql_.load_failed, values);
    EXPECT_THAT(plan, testing::HasSubstr("messages_failed"));
    EXPECT_THAT(plan, testing::HasSubstr("messages_dead"));
    EXPECT_LE(visited_by(sql_.load_failed, values), 200);
  }
}

INSTANTIATE_TEST_SUITE_P(whatever_the_statistics_say, store_plans, testing::ValuesIn(states()),
                         [](const auto& state) { return state.param.name; });

}  // namespace
}  // namespace outboxd::tests
