#include "outbox/reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outboxd::outbox {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t limit = 10;

read_request asked(const reader& r, std::size_t known = 0) {
  read_request request;
  request.limit = limit;
  r.ask(request, known);
  return request;
}

read_answer answer(std::vector<std::int64_t> ids, snapshot snap) {
  read_answer a;
  a.snap = snap;
  for (const auto id : ids) {
    message m;
    m.ref.id = id;
    a.rows.push_back(std::move(m));
  }
  return a;
}

void reads(reader& r, std::vector<std::int64_t> ids, snapshot snap) {
  const auto a = answer(ids, snap);
  r.answered(asked(r), a, a.rows.size());
}

TEST(reader, starts_with_everything) {
  const reader r;
  EXPECT_EQ(asked(r).frontier, 0);
  EXPECT_THAT(asked(r).gaps, IsEmpty());
}

TEST(reader, the_frontier_moves_to_the_last_row_and_skipped_ids_become_gaps) {
  reader r;
  reads(r, {1, 2, 5, 9}, {.xmin = 100, .next_xid = 101});
  EXPECT_EQ(r.frontier(), 9);
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{3, 4}, id_range{6, 8}));
}

TEST(reader, an_empty_answer_leaves_the_frontier_where_it_is) {
  reader r;
  reads(r, {7}, {.xmin = 100, .next_xid = 101});
  reads(r, {}, {.xmin = 101, .next_xid = 101});
  EXPECT_EQ(r.frontier(), 7);
}

TEST(reader, a_gap_stays_while_a_transaction_that_may_fill_it_is_running) {
  reader r;
  reads(r, {1, 3}, {.xmin = 100, .next_xid = 105});
  reads(r, {}, {.xmin = 104, .next_xid = 200});
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{2, 2}));
}

TEST(reader, a_gap_is_forgotten_once_every_such_transaction_has_ended_before_the_read) {
  reader r;
  reads(r, {1, 3}, {.xmin = 100, .next_xid = 105});
  reads(r, {}, {.xmin = 105, .next_xid = 200});
  EXPECT_THAT(asked(r).gaps, IsEmpty());
}

// The snapshot that showed the gap may itself have xmin equal to its next_xid: then nothing was
// running and whoever drew the id had rolled back. But that snapshot has not looked for anything in
// the gap yet.
TEST(reader, a_new_gap_is_looked_into_at_least_once) {
  reader r;
  reads(r, {1, 3}, {.xmin = 105, .next_xid = 105});
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{2, 2}));
}

TEST(reader, a_row_found_in_a_gap_splits_it) {
  reader r;
  reads(r, {1, 10}, {.xmin = 100, .next_xid = 105});
  reads(r, {4, 5, 8}, {.xmin = 101, .next_xid = 106});
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{2, 3}, id_range{6, 7}, id_range{9, 9}));
  EXPECT_EQ(r.frontier(), 10);
}

TEST(reader, parts_of_a_gap_that_were_read_empty_by_a_late_snapshot_go_when_others_are_found) {
  reader r;
  reads(r, {1, 10}, {.xmin = 100, .next_xid = 105});
  reads(r, {4}, {.xmin = 105, .next_xid = 106});
  EXPECT_THAT(asked(r).gaps, IsEmpty());
}

TEST(reader, an_answer_that_stopped_at_its_limit_says_nothing_about_gaps_behind_its_last_row) {
  reader r;
  reads(r, {1, 20, 30}, {.xmin = 100, .next_xid = 105});
  ASSERT_THAT(asked(r).gaps, ElementsAre(id_range{2, 19}, id_range{21, 29}));
  reads(r, {2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {.xmin = 200, .next_xid = 200});
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{12, 19}, id_range{21, 29}));
}

TEST(reader, rows_that_were_not_taken_count_as_not_read) {
  reader r;
  const auto a = answer({1, 3, 6, 8}, {.xmin = 100, .next_xid = 105});
  r.answered(asked(r), a, 2);
  EXPECT_EQ(r.frontier(), 3);
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{2, 2}));
}

TEST(reader, gap_rows_that_were_not_taken_stay_in_their_gap) {
  reader r;
  reads(r, {1, 10}, {.xmin = 100, .next_xid = 105});
  const auto a = answer({4, 6, 12}, {.xmin = 200, .next_xid = 200});
  r.answered(asked(r), a, 1);
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{6, 9}));
  EXPECT_EQ(r.frontier(), 10);
}

TEST(reader, a_restart_reads_everything_again_and_makes_room_for_what_is_known) {
  reader r;
  reads(r, {1, 5}, {.xmin = 100, .next_xid = 105});
  EXPECT_EQ(asked(r, 3).limit, limit);
  r.restart();
  EXPECT_EQ(r.frontier(), 0);
  EXPECT_THAT(asked(r).gaps, IsEmpty());
  EXPECT_EQ(asked(r, 3).limit, limit + 3);
  reads(r, {5}, {.xmin = 106, .next_xid = 106});
  EXPECT_EQ(asked(r, 3).limit, limit);
}

TEST(reader, at_the_bound_neighbouring_gaps_are_merged_and_none_is_dropped) {
  reader r(4);
  reads(r, {2, 4, 6, 8, 10}, {.xmin = 100, .next_xid = 105});  // gaps 1 3 5 7 9
  const auto request = asked(r, 7);
  EXPECT_LE(request.gaps.size(), 4u);
  for (const std::int64_t id : {1, 3, 5, 7, 9}) {
    EXPECT_TRUE(std::any_of(request.gaps.begin(), request.gaps.end(), [id](const id_range& g) {
      return g.first <= id && id <= g.last;
    })) << id;
  }
  EXPECT_EQ(request.limit, limit + 7) << "a merged gap may bring rows that are known";
}

// All of them are behind a hold: read, skipped, and still there.
TEST(reader, rows_that_are_skipped_in_merged_gaps_do_not_keep_it_from_the_frontier) {
  constexpr std::int64_t last = 400;
  reader r(4);
  int reads_needed = 0;
  for (; r.frontier() < last && reads_needed < 1'000; ++reads_needed) {
    const auto request = asked(r);
    std::vector<std::int64_t> ids;
    for (std::int64_t id = 2; id <= last && ids.size() < request.limit; id += 2) {
      if (id > request.frontier ||
          std::any_of(request.gaps.begin(), request.gaps.end(),
                      [id](const id_range& g) { return g.first <= id && id <= g.last; }))
        ids.push_back(id);
    }
    const auto a = answer(ids, {.xmin = 100, .next_xid = 105});
    r.answered(request, a, a.rows.size());
  }
  EXPECT_EQ(r.frontier(), last) << "after " << reads_needed << " reads";
  reads(r, {}, {.xmin = 105, .next_xid = 106});
  EXPECT_THAT(asked(r).gaps, IsEmpty());
  EXPECT_EQ(asked(r).limit, limit) << "nothing is merged any more";
}

TEST(reader, a_request_that_may_bring_nothing_is_not_enlarged) {
  reader r;
  reads(r, {1, 5}, {.xmin = 100, .next_xid = 105});
  r.restart();
  read_request request;
  r.ask(request, 100);
  EXPECT_EQ(request.limit, 0u);
}

// Careful, it walks over few ids at a time.
read_request asked_carefully(const reader& r, std::int64_t span) {
  read_request request;
  request.limit = limit;
  r.ask(request, 0, span);
  return request;
}

void reads_up_to(reader& r, std::int64_t span, std::int64_t up_to, snapshot snap,
                 std::vector<std::int64_t> ids = {}) {
  auto a = answer(std::move(ids), snap);
  a.up_to = up_to;
  r.answered(asked_carefully(r, span), a, a.rows.size());
}

TEST(reader, asks_for_slices_only_when_it_has_to_be_careful) {
  reader r;
  EXPECT_EQ(asked_carefully(r, 10).span, 0);
  r.be_careful();
  EXPECT_EQ(asked_carefully(r, 10).span, 10);
  reads(r, {7}, {.xmin = 100, .next_xid = 101});
  EXPECT_EQ(asked_carefully(r, 10).span, 0) << "it has come to the end";
}

TEST(reader, a_slice_that_was_passed_is_a_gap_like_others) {
  reader r;
  r.be_careful();
  reads_up_to(r, 10, 10, {.xmin = 100, .next_xid = 105}, {4});
  EXPECT_EQ(r.frontier(), 10);
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{1, 3}, id_range{5, 10}));
  reads_up_to(r, 10, 20, {.xmin = 104, .next_xid = 106});
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{1, 3}, id_range{5, 10}, id_range{11, 20}));
  reads_up_to(r, 20, 40, {.xmin = 105, .next_xid = 107});
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{11, 20}, id_range{21, 40}));
}

TEST(reader, a_slice_with_more_rows_than_fit_is_not_passed) {
  reader r;
  r.be_careful();
  reads_up_to(r, 100, 100, {.xmin = 100, .next_xid = 101}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_EQ(r.frontier(), 10);
  EXPECT_EQ(asked_carefully(r, 100).span, 100);
}

TEST(reader, what_is_above_gaps_that_are_left_out_is_not_read) {
  reader r;
  reads(r, {5, 20, 50}, {.xmin = 100, .next_xid = 105});
  r.be_careful();
  const auto request = asked_carefully(r, 5);
  EXPECT_THAT(request.gaps, ElementsAre(id_range{1, 4}, id_range{6, 11}));
  EXPECT_EQ(request.to, 11);
  reads_up_to(r, 5, 11, {.xmin = 105, .next_xid = 106}, {8});
  EXPECT_EQ(r.frontier(), 50);
  EXPECT_THAT(asked(r).gaps, ElementsAre(id_range{12, 19}, id_range{21, 49}))
      << "those that were looked into are settled";
}

}  // namespace
}  // namespace outboxd::outbox
