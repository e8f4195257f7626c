// What read() promises of the rows below the frontier. See store_contract.hpp.
#pragma once

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

inline outbox::scan all_below() {
  return {.after = 0, .rows = 1000, .visited = 1000, .keys = {}, .without = {}};
}

inline outbox::message row_to(std::string exchange, std::string routing_key,
                              std::optional<std::string> key = {}) {
  const std::string body = exchange + "/" + routing_key + (key ? " " + *key : "");
  auto m = text_row(body, std::move(key));
  m.exchange = std::move(exchange);
  m.routing_key = std::move(routing_key);
  return m;
}

TEST_P(store_contract, a_read_without_a_scan_leaves_what_is_below_the_frontier) {
  auto request = everything();
  request.frontier = world().insert(text_row("a")).id;
  const auto answer = read(request);
  EXPECT_TRUE(answer.below.empty() && answer.rows.empty());
  EXPECT_EQ(answer.below_to, 0);
}

TEST_P(store_contract, a_scan_finds_the_pending_rows_up_to_the_frontier) {
  const auto before = world().insert(text_row("before"));
  world().insert(text_row("a", "k"));
  const auto sent = world().insert(text_row("sent"));
  const auto failed = world().insert(text_row("failed"));
  const auto b = world().insert(text_row("b"));
  const auto above = world().insert(text_row("above"));
  settle({sent});
  decide(world().take_lead(), {deferred(failed)});
  auto request = everything();
  request.frontier = b.id;
  request.below = all_below();
  request.below->after = before.id;
  const auto answer = read(request);
  EXPECT_EQ(bodies(answer.below), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(answer.below_to, b.id);
  EXPECT_EQ(ids(answer.rows), std::vector{above.id});
  EXPECT_TRUE(answer.below.at(0).body_loaded);
  EXPECT_EQ(answer.below.at(0).ordering_key, "k");
}

TEST_P(store_contract, a_scan_that_finds_nothing_has_come_to_the_frontier) {
  auto request = everything();
  request.frontier = 100;
  request.below = all_below();
  EXPECT_EQ(read(request).below_to, 100);
  request.below->after = 100;
  EXPECT_EQ(read(request).below_to, 100);
}

TEST_P(store_contract, a_scan_stops_at_its_last_row_or_the_last_it_may_look_at) {
  std::vector<std::int64_t> wanted;
  std::vector<std::int64_t> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(world().insert(text_row("other")).id);
    wanted.push_back(world().insert(text_row("x", "k")).id);
    all.push_back(wanted.back());
  }
  auto request = everything();
  request.frontier = all.back() + 10;
  request.below = all_below();
  request.below->keys = {"k"};
  const auto ends = [&](std::size_t rows, std::size_t visited) {
    request.below->rows = rows;
    request.below->visited = visited;
    const auto answer = read(request);
    return std::pair(ids(answer.below).size(), answer.below_to);
  };
  EXPECT_EQ(ends(2, 100), std::pair(std::size_t{2}, wanted[1]));
  EXPECT_EQ(ends(100, 5), std::pair(std::size_t{2}, all[4])) << "the fifth is not of that key";
  EXPECT_EQ(ends(100, 1), std::pair(std::size_t{0}, all[0]));
  EXPECT_EQ(ends(2, 5), std::pair(std::size_t{2}, wanted[1])) << "the row was there first";
  EXPECT_EQ(ends(3, 5), std::pair(std::size_t{2}, all[4]));
  EXPECT_EQ(ends(6, 12), std::pair(std::size_t{6}, all.back()));
  EXPECT_EQ(ends(7, 13), std::pair(std::size_t{6}, request.frontier));
}

TEST_P(store_contract, a_scan_goes_on_where_it_stopped) {
  std::vector<std::int64_t> wanted;
  for (int i = 0; i < 20; ++i) {
    const auto ref = world().insert(text_row("x", i % 3 == 0 ? "k" : "other"));
    if (i % 3 == 0) wanted.push_back(ref.id);
  }
  auto request = everything();
  request.frontier = world().insert(text_row("last")).id;
  request.below = outbox::scan{.after = 0, .rows = 2, .visited = 5, .keys = {"k"}, .without = {}};
  std::vector<std::int64_t> got;
  while (request.below->after < request.frontier) {
    const auto answer = read(request);
    for (const auto id : ids(answer.below)) got.push_back(id);
    ASSERT_GT(answer.below_to, request.below->after);
    request.below->after = answer.below_to;
  }
  EXPECT_EQ(got, wanted);
}

TEST_P(store_contract, a_scan_can_be_of_thousands_of_keys_that_contain_anything) {
  auto request = everything();
  request.below = all_below();
  for (int i = 0; i < 5000; ++i) request.below->keys.push_back("key " + std::to_string(i));
  std::vector<std::int64_t> wanted;
  for (const std::string key :
       {"", "NULL", "a,b", "{}", "\"", "\\", "'", " ", "ключ", "key 4999"}) {
    wanted.push_back(world().insert(text_row("x", key)).id);
    request.below->keys.push_back(key);
  }
  world().insert(text_row("x", "nobody"));
  request.frontier = world().insert(text_row("without a key")).id;
  EXPECT_EQ(ids(read(request).below), wanted);
}

TEST_P(store_contract, a_scan_leaves_out_destinations_but_never_a_row_with_a_key) {
  for (const auto& row :
       {row_to("", "q"), row_to("", "other"), row_to("held", "a"), row_to("held", "b", "k"),
        row_to("half", "a"), row_to("half", "b"), row_to("half", "a", "k"), row_to("free", "a")}) {
    world().insert(row);
  }
  auto request = everything();
  request.frontier = 100;
  request.below = all_below();
  request.below->without = {{"held", {}}, {"half", "a"}, {"", "q"}, {"nowhere", ""}};
  const auto answer = read(request);
  EXPECT_EQ(bodies(answer.below),
            (std::vector<std::string>{"/other", "held/b k", "half/b", "half/a k", "free/a"}));
  EXPECT_EQ(answer.below_to, 100);
}

TEST_P(store_contract, a_scan_sees_what_the_rest_of_its_read_sees) {
  const auto late = world().begin();
  late->insert(text_row("late"));
  auto request = everything();
  request.frontier = world().insert(text_row("a")).id;
  request.below = all_below();
  EXPECT_EQ(bodies(read(request).below), std::vector<std::string>{"a"});
  late->commit();
  EXPECT_EQ(bodies(read(request).below), (std::vector<std::string>{"late", "a"}));
}

TEST_P(store_contract, a_scan_stops_at_its_last_id) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  const auto c = world().insert(text_row("c"));
  auto request = everything();
  request.frontier = c.id;
  request.below = all_below();
  request.below->to = b.id;
  const auto answer = read(request);
  EXPECT_EQ(ids(answer.below), (std::vector{a.id, b.id}));
  EXPECT_EQ(answer.below_to, b.id);
  request.below->to = c.id + 5;
  EXPECT_EQ(read(request).below_to, c.id) << "the frontier";
}

TEST_P(store_contract, a_slice_of_ids_says_where_it_ends_and_how_young_those_who_drew_them_may_be) {
  const auto a = world().insert(text_row("a"));
  const auto open = world().begin();
  const auto late = open->insert(text_row("late"));
  const auto b = world().insert(text_row("b"));
  const auto c = world().insert(text_row("c"));
  auto request = everything();
  request.span = 2;
  const auto first = read(request);
  EXPECT_EQ(ids(first.rows), std::vector{a.id});
  ASSERT_EQ(first.up_to, late.id);
  EXPECT_LE(first.snap.xmin, first.snap.next_xid);

  request.frontier = late.id;
  request.gaps = {{late.id, late.id}};
  const auto second = read(request);
  EXPECT_EQ(ids(second.rows), (std::vector{b.id, c.id}));
  EXPECT_FALSE(second.up_to) << "these are all";
  EXPECT_LT(second.snap.xmin, first.snap.next_xid) << "the row may still come";
  open->commit();
  EXPECT_EQ(ids(read(request).rows), (std::vector{late.id, b.id, c.id}));
  EXPECT_GE(read(request).snap.xmin, first.snap.next_xid);
}

TEST_P(store_contract, nothing_is_read_above_the_last_id_that_is_asked_for) {
  std::vector<outbox::row_ref> rows;
  for (int i = 0; i < 5; ++i) rows.push_back(world().insert(text_row("x")));
  auto request = everything();
  request.frontier = rows[3].id;
  request.gaps = {{rows[0].id, rows[1].id}};
  request.to = rows[1].id;
  request.span = 1;
  const auto answer = read(request);
  EXPECT_EQ(ids(answer.rows), (std::vector{rows[0].id, rows[1].id}));
  EXPECT_EQ(answer.up_to, rows[1].id);
}

}  // namespace outboxd::tests
