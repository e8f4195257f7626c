// What read() promises of rows above the frontier and in gaps. See store_contract.hpp.
#pragma once

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

TEST_P(store_contract, an_empty_table_answers_with_its_snapshot) {
  const auto answer = read();
  EXPECT_TRUE(answer.rows.empty() && answer.due.empty() && answer.below.empty());
  EXPECT_FALSE(answer.next_due_in.has_value());
  EXPECT_GT(answer.snap.xmin, 0u);
  EXPECT_GE(answer.snap.next_xid, answer.snap.xmin);
}

TEST_P(store_contract, every_column_arrives) {
  outbox::message row;
  row.exchange = "events";
  row.routing_key = "user.created";
  row.ordering_key = "user \"7\", {a}\\";
  row.body = R"({"name": "Zoë"})";
  row.content_type = "application/cloudevents+json";
  row.content_encoding = "identity";
  row.type = "user.created";
  row.correlation_id = "c-1";
  row.reply_to = "answers";
  row.app_id = "users";
  row.priority = std::uint8_t{255};
  row.expiration_ms = 315360000000;
  row.headers = R"({"a": [1, 2.5, null, true], "b": {"c": "d"}})";
  row.mandatory = false;
  const auto ref = world().insert(row);

  const auto rows = read().rows;
  ASSERT_EQ(rows.size(), 1u);
  const auto& got = rows[0];
  EXPECT_EQ(got.ref, ref);
  EXPECT_EQ(got.exchange, row.exchange);
  EXPECT_EQ(got.routing_key, row.routing_key);
  EXPECT_EQ(got.ordering_key, row.ordering_key);
  EXPECT_EQ(got.body, row.body);
  EXPECT_EQ(got.body_size, row.body.size());
  EXPECT_TRUE(got.body_loaded);
  EXPECT_FALSE(got.is_binary);
  EXPECT_EQ(got.content_type, row.content_type);
  EXPECT_EQ(got.content_encoding, row.content_encoding);
  EXPECT_EQ(got.type, row.type);
  EXPECT_EQ(got.correlation_id, row.correlation_id);
  EXPECT_EQ(got.reply_to, row.reply_to);
  EXPECT_EQ(got.app_id, row.app_id);
  EXPECT_EQ(got.priority, row.priority);
  EXPECT_EQ(got.expiration_ms, row.expiration_ms);
  EXPECT_EQ(got.headers, row.headers);
  EXPECT_EQ(got.headers_size, row.headers->size());
  EXPECT_EQ(got.mandatory, row.mandatory);
  EXPECT_FALSE(got.deferred);
  EXPECT_EQ(got.attempts, 0);
  EXPECT_EQ(got.failing_for, 0us);
  EXPECT_LT(world().now() - got.created_at, 1min);
  EXPECT_GE(got.age, 0us);
  EXPECT_LT(got.age, 1min);
}

TEST_P(store_contract, columns_that_are_null_arrive_as_nothing) {
  world().insert(text_row(""));
  const auto got = read().rows.at(0);
  EXPECT_EQ(got.exchange, "");
  EXPECT_FALSE(got.ordering_key || got.content_type || got.content_encoding || got.type ||
               got.correlation_id || got.reply_to || got.app_id || got.priority ||
               got.expiration_ms || got.headers);
  EXPECT_TRUE(got.mandatory);
  EXPECT_EQ(got.body, "");
  EXPECT_TRUE(got.body_loaded);
}

TEST_P(store_contract, bytes_arrive_as_they_are) {
  std::string all_bytes;
  for (int i = 0; i < 256; ++i) all_bytes += static_cast<char>(i);
  std::string large;
  while (large.size() < (3u << 20)) large += all_bytes;
  for (const auto& body : {std::string(), std::string(1, '\0'), all_bytes, large}) {
    auto row = text_row(body);
    row.is_binary = true;
    world().insert(row);
  }
  auto request = everything();
  request.inline_row_bytes = 8 << 20;
  const auto rows = read(request).rows;
  ASSERT_EQ(rows.size(), 4u);
  for (const auto& row : rows) EXPECT_TRUE(row.is_binary && row.body_loaded);
  EXPECT_TRUE(rows[0].body.empty());
  EXPECT_EQ(rows[1].body, std::string(1, '\0'));
  EXPECT_EQ(rows[2].body, all_bytes);
  EXPECT_TRUE(rows[3].body == large);
}

TEST_P(store_contract, rows_above_the_frontier_come_lowest_first_up_to_the_limit) {
  const auto a = world().insert(text_row("a"));
  const auto b = world().insert(text_row("b"));
  const auto c = world().insert(text_row("c"));
  world().insert(text_row("d"));
  auto request = everything();
  request.frontier = a.id;
  request.limit = 2;
  EXPECT_EQ(ids(read(request).rows), (std::vector{b.id, c.id}));
}

TEST_P(store_contract, rows_in_gaps_come_first_and_share_the_limit) {
  std::vector<outbox::row_ref> rows;
  rows.reserve(8);
  for (int i = 0; i < 8; ++i) rows.push_back(world().insert(text_row(std::to_string(i))));
  auto request = everything();
  request.frontier = rows[5].id;
  request.gaps = {{rows[1].id, rows[1].id}, {rows[3].id, rows[4].id}};
  EXPECT_EQ(bodies(read(request).rows), (std::vector<std::string>{"1", "3", "4", "6", "7"}));
  request.limit = 4;
  EXPECT_EQ(bodies(read(request).rows), (std::vector<std::string>{"1", "3", "4", "6"}));
  request.limit = 2;
  EXPECT_EQ(bodies(read(request).rows), (std::vector<std::string>{"1", "3"}));
}

TEST_P(store_contract, what_is_not_committed_is_not_read) {
  const auto writer = world().begin();
  writer->insert(text_row("a"));
  EXPECT_TRUE(read().rows.empty());
  writer->roll_back();
  EXPECT_TRUE(read().rows.empty());
}

TEST_P(store_contract, a_late_commit_is_found_in_its_gap) {
  const auto late = world().begin();
  const auto low = late->insert(text_row("low"));
  const auto high = world().insert(text_row("high"));

  auto request = everything();
  const auto first = read(request);
  EXPECT_EQ(bodies(first.rows), std::vector<std::string>{"high"});

  request.frontier = high.id;
  request.gaps = {{low.id, low.id}};
  EXPECT_LT(read(request).snap.xmin, first.snap.next_xid) << "the writer could still commit";
  late->commit();
  EXPECT_EQ(bodies(read(request).rows), std::vector<std::string>{"low"});
  EXPECT_GE(read(request).snap.xmin, first.snap.next_xid) << "nobody can fill the gap any more";
}

// The writer of the gap is younger than any transaction that has ended: a snapshot's own xmax would
// not cover it.
TEST_P(store_contract, a_gap_of_the_youngest_transaction_counts_as_open) {
  const auto older = world().begin();
  const auto younger = world().begin();
  const auto low = younger->insert(text_row("low"));
  const auto high = older->insert(text_row("high"));
  older->commit();

  const auto first = read();
  EXPECT_EQ(bodies(first.rows), std::vector<std::string>{"high"});
  auto request = everything();
  request.frontier = high.id;
  request.gaps = {{low.id, low.id}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_LT(read(request).snap.xmin, first.snap.next_xid) << "the writer could still commit";
    world().insert(text_row("another"));
  }
  younger->commit();
  EXPECT_GE(read(request).snap.xmin, first.snap.next_xid);
}

TEST_P(store_contract, a_not_before_in_the_past_is_an_ordinary_row) {
  const auto ref = world().insert(text_row("now"), world().now() - 1h);
  EXPECT_EQ(ids(read().rows), std::vector{ref.id});
}

}  // namespace outboxd::tests
