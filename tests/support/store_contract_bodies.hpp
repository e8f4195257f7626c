// When bodies and headers come with their rows, and load_bodies(). See store_contract.hpp.
#pragma once

#include "tests/support/store_contract_fixture.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

TEST_P(store_contract, large_bodies_stay_behind) {
  const auto small = world().insert(text_row("small"));
  const auto large = world().insert(text_row(std::string(5000, 'x')));
  auto request = everything();
  request.inline_row_bytes = 4999;
  const auto rows = read(request).rows;
  ASSERT_EQ(ids(rows), (std::vector{small.id, large.id}));
  EXPECT_TRUE(rows[0].body_loaded);
  EXPECT_FALSE(rows[1].body_loaded);
  EXPECT_EQ(rows[1].body, "");
  EXPECT_EQ(rows[1].body_size, 5000u);
}

TEST_P(store_contract, headers_count_with_the_body_and_stay_behind_with_it) {
  auto row = text_row("body");
  row.headers = "{\"h\": \"" + std::string(60000, 'x') + "\"}";
  const auto large = world().insert(row);
  auto request = everything();
  request.inline_row_bytes = 60000;
  const auto got = read(request).rows.at(0);
  EXPECT_FALSE(got.body_loaded);
  EXPECT_EQ(got.body, "");
  EXPECT_FALSE(got.headers.has_value());
  EXPECT_EQ(got.body_size, 4u);
  EXPECT_EQ(got.headers_size, row.headers->size());

  const auto loaded = load_bodies({large}).at(0);
  EXPECT_EQ(loaded.body, "body");
  EXPECT_EQ(loaded.headers, row.headers);

  request.inline_row_bytes = 4 + row.headers->size();
  EXPECT_EQ(read(request).rows.at(0).headers, row.headers);
  request.inline_total_bytes = request.inline_row_bytes - 1;
  EXPECT_FALSE(read(request).rows.at(0).headers.has_value());
}

TEST_P(store_contract, bodies_come_along_as_long_as_they_fit_together) {
  const auto frontier = world().insert(text_row("0123456789"));
  world().insert(text_row("0123456789"));
  world().insert(text_row(std::string(1000, 'x')));  // not a candidate, does not count
  world().insert(text_row("0123456789"));
  world().insert(text_row("due"), world().now() + 1h);
  world().grow_older(2h);
  auto request = everything();
  request.frontier = frontier.id;
  request.below = outbox::scan{.after = 0, .rows = 1, .visited = 1, .keys = {}, .without = {}};
  request.inline_row_bytes = 100;
  request.inline_total_bytes = 22;
  const auto answer = read(request);
  ASSERT_EQ(answer.rows.size(), 3u);
  EXPECT_TRUE(answer.rows[0].body_loaded);
  EXPECT_FALSE(answer.rows[1].body_loaded);
  EXPECT_TRUE(answer.rows[2].body_loaded);
  ASSERT_EQ(answer.due.size(), 1u);
  EXPECT_FALSE(answer.due[0].body_loaded);
  ASSERT_EQ(answer.below.size(), 1u);
  EXPECT_FALSE(answer.below[0].body_loaded);
}

TEST_P(store_contract, bodies_are_loaded_for_rows_that_still_wait) {
  auto binary = text_row(std::string("\0\xff", 2));
  binary.is_binary = true;
  const auto a = world().insert(text_row(std::string(100000, 'a')));
  const auto b = world().insert(binary);
  const auto gone = world().insert(text_row("gone"));
  const auto sent = world().insert(text_row("sent"));
  auto stranger = world().insert(text_row("other"));
  stranger.message_id.data[0] ^= 1;
  world().erase(gone.id);
  settle({sent});
  const auto loaded = load_bodies({b, gone, a, sent, stranger});
  ASSERT_EQ(loaded.size(), 2u);
  EXPECT_EQ(loaded[0].ref, b);
  EXPECT_EQ(loaded[0].body, binary.body);
  EXPECT_FALSE(loaded[0].headers.has_value());
  EXPECT_EQ(loaded[1].ref, a);
  EXPECT_EQ(loaded[1].body, std::string(100000, 'a'));
  EXPECT_TRUE(load_bodies({}).empty());
}

}  // namespace outboxd::tests
