#include "relay/window.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <set>

namespace outboxd::relay {
namespace {

class window_test : public testing::Test {
 protected:
  row& make(std::int64_t id, std::optional<std::string> key = std::nullopt, site* where = nullptr) {
    rows_.push_back(row{});
    rows_.back().msg.ref.id = id;
    rows_.back().msg.ordering_key = std::move(key);
    rows_.back().where = where != nullptr ? where : &site_;
    return rows_.back();
  }

  row& ready(std::int64_t id, std::optional<std::string> key = std::nullopt) {
    return go(make(id, std::move(key)));
  }
  row& ready(std::int64_t id, site& where) { return go(make(id, std::nullopt, &where)); }
  row& ready_again(std::int64_t id) {
    row& r = make(id);
    r.msg.attempts = 1;
    return go(r);
  }
  row& go(row& r) {
    w.add(r);
    return r;
  }
  std::size_t send_all() {
    std::size_t sent = 0;
    while (w.next() != nullptr) ++sent;
    return sent;
  }

  // It came back and goes again.
  void again(row& r, bool suspect) {
    w.landed(r);
    r.suspect = suspect;
    w.add(r);
  }

  static constexpr lane_id quarantine = 2;
  std::deque<row> rows_;  // outlive what they stand in
  window w{2, 4, true};   // a key always goes by the same lane
  site site_, other_;
};

TEST_F(window_test, nothing_goes_while_no_lane_is_open) {
  ready(1);
  EXPECT_EQ(w.next(), nullptr);
  w.lane_opened(0);
  EXPECT_NE(w.next(), nullptr);
}

TEST_F(window_test, a_lane_takes_the_lowest_id_first_with_a_key_or_without) {
  w = window(1, 4, true);
  w.lane_opened(0);
  ready(3);
  ready(1, "k");
  ready(2);
  EXPECT_EQ(w.next()->msg.ref.id, 1);
  EXPECT_EQ(w.next()->msg.ref.id, 2);
  EXPECT_EQ(w.next()->msg.ref.id, 3);
}

TEST_F(window_test, where_a_row_waits_for_the_one_before_its_key_may_use_any_lane) {
  w = window(2, 4);
  w.lane_opened(1);
  ready(1, "a");
  ready(2, "b");
  ready(3, "c");
  EXPECT_EQ(send_all(), 3u);
}

TEST_F(window_test, no_more_than_the_window_is_in_flight) {
  w.lane_opened(0);
  for (std::int64_t id = 1; id <= 6; ++id) ready(id);
  std::vector<row*> gone;
  while (row* r = w.next()) gone.push_back(r);
  EXPECT_EQ(gone.size(), 4u);
  w.landed(*gone[0]);
  EXPECT_NE(w.next(), nullptr);
  EXPECT_EQ(w.next(), nullptr);
}

TEST_F(window_test, once_full_it_is_filled_again_in_bulk) {
  w = window(1, 512);
  w.lane_opened(0);
  for (std::int64_t id = 1; id <= 520; ++id) ready(id);
  std::vector<row*> gone;
  while (row* r = w.next()) gone.push_back(r);
  ASSERT_EQ(gone.size(), 512u);
  for (std::size_t n = 0; n < 3; ++n) w.landed(*gone[n]);
  EXPECT_EQ(w.next(), nullptr) << "a write of three messages";
  w.landed(*gone[3]);
  EXPECT_EQ(send_all(), 4u);
}

TEST_F(window_test, while_it_is_not_full_a_row_goes_at_once) {
  w = window(1, 32);
  w.lane_opened(0);
  for (std::int64_t id = 1; id <= 31; ++id) ready(id);
  EXPECT_EQ(send_all(), 31u);
  ready(32);
  EXPECT_EQ(send_all(), 1u);
}

TEST_F(window_test, lanes_take_turns_of_many_rows) {
  w = window(2, 400);
  w.lane_opened(0);
  w.lane_opened(1);
  for (std::int64_t id = 1; id <= 256; ++id) ready(id);
  std::vector<std::size_t> rows_of(2);
  std::size_t changes = 0;
  lane_id before = 0;
  while (row* r = w.next()) {
    ++rows_of.at(r->lane);
    changes += r->lane != before ? 1 : 0;
    before = r->lane;
  }
  EXPECT_EQ(rows_of, (std::vector<std::size_t>{128, 128}));
  EXPECT_LE(changes, 4u);
}

TEST_F(window_test, a_key_always_goes_by_the_same_lane) {
  w.lane_opened(0);
  w.lane_opened(1);
  row& r = ready(1, "k");
  ASSERT_EQ(w.next(), &r);
  const lane_id lane = r.lane;
  w.landed(r);
  for (std::int64_t id = 2; id < 10; ++id) {
    row& other = ready(id, "k");
    ASSERT_EQ(w.next(), &other);
    EXPECT_EQ(other.lane, lane);
    w.landed(other);
  }
}

TEST_F(window_test, a_key_waits_for_its_lane_and_the_others_do_not) {
  w.lane_opened(0);
  w.lane_opened(1);
  row& probe = ready(1, "k");
  ASSERT_EQ(w.next(), &probe);
  w.lane_closed(probe.lane);
  w.landed(probe);
  ready(2, "k");
  row& free = ready(3);
  EXPECT_EQ(w.next(), &free);
  EXPECT_EQ(w.next(), nullptr);
  w.lane_opened(probe.lane);
  EXPECT_EQ(w.next()->msg.ref.id, 2);
}

TEST_F(window_test, a_blocked_lane_gets_nothing) {
  w.lane_opened(0);
  w.lane_blocked(0, true);
  ready(1);
  EXPECT_EQ(w.next(), nullptr);
  w.lane_blocked(0, false);
  EXPECT_NE(w.next(), nullptr);
}

TEST_F(window_test, a_suspect_has_the_quarantine_to_itself_and_the_lanes_go_on) {
  w.lane_opened(0);
  row& first = ready(1);
  row& second = ready(2);
  ASSERT_EQ(w.next(), &first);
  ASSERT_EQ(w.next(), &second);
  again(first, true);
  again(second, true);
  row& bystander = ready(3);
  EXPECT_EQ(w.next(), &bystander);
  EXPECT_TRUE(w.needs_quarantine());
  w.lane_opened(quarantine);
  EXPECT_EQ(w.next(), &first);
  EXPECT_EQ(w.next(), nullptr);
  w.landed(first);
  EXPECT_EQ(w.next(), &second);
  EXPECT_EQ(second.lane, quarantine);
}

TEST_F(window_test,
       a_row_that_has_failed_goes_over_the_quarantine_one_of_its_destination_at_a_time) {
  w.lane_opened(0);
  row& first = ready_again(1);
  row& second = ready_again(2);
  EXPECT_EQ(w.next(), nullptr);
  w.lane_opened(quarantine);
  EXPECT_EQ(w.next(), &first);
  EXPECT_TRUE(first.apart);
  EXPECT_EQ(w.next(), nullptr);
  w.landed(first);
  EXPECT_EQ(w.next(), &second);
}

TEST_F(window_test, where_the_broker_gives_no_quarantine_its_rows_use_the_first_lane) {
  w.lane_opened(0);
  w.lane_opened(1);
  row& failed = ready_again(1);
  row& suspect = make(2);
  suspect.suspect = true;
  w.add(suspect);
  w.do_without_quarantine(true);
  EXPECT_EQ(w.next(), &suspect);
  EXPECT_EQ(suspect.lane, 0u);
  EXPECT_EQ(w.next(), nullptr) << "alone";
  w.landed(suspect);
  EXPECT_EQ(w.next(), &failed);
}

TEST_F(window_test, without_the_quarantine_another_lane_serves_while_the_first_is_not_open) {
  w.lane_opened(1);
  row& failed = ready_again(1);
  w.do_without_quarantine(true);
  EXPECT_EQ(w.next(), &failed);
  EXPECT_EQ(failed.lane, 1u);
}

TEST_F(window_test, a_destination_has_the_whole_window_while_it_is_alone_and_half_beside_others) {
  w.lane_opened(0);
  for (std::int64_t id = 1; id <= 10; ++id) ready(id, site_);
  ready(11, other_);
  EXPECT_EQ(send_all(), 3u);
  EXPECT_EQ(site_.in_flight, 2u);
  EXPECT_EQ(other_.in_flight, 1u);
}

TEST_F(window_test, when_the_others_are_done_the_rest_of_a_destination_follows) {
  w.lane_opened(0);
  for (std::int64_t id = 1; id <= 10; ++id) ready(id, site_);
  row& alone = ready(11, other_);
  ASSERT_EQ(send_all(), 3u);
  w.landed(alone);
  EXPECT_EQ(send_all(), 2u);
  EXPECT_EQ(site_.in_flight, 4u);
}

TEST_F(window_test, the_share_of_a_destination_that_works_again_grows) {
  w.lane_opened(0);
  site_.share = 1;
  for (std::int64_t id = 1; id <= 10; ++id) ready(id, site_);
  row* first = w.next();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(w.next(), nullptr);
  site_.share = 2;
  w.landed(*first);
  EXPECT_EQ(send_all(), 2u);
}

TEST_F(window_test, a_destination_whose_rows_are_suspected_waits_until_one_is_confirmed) {
  w.lane_opened(0);
  w.lane_opened(quarantine);
  site_.trusted = false;
  row& suspect = make(9, std::nullopt, &site_);
  suspect.suspect = true;
  w.add(suspect);
  ready(1, site_);
  row& other = ready(2, other_);
  EXPECT_EQ((std::set<row*>{w.next(), w.next()}), (std::set<row*>{&other, &suspect}));
  EXPECT_EQ(w.next(), nullptr);
  site_.trusted = true;
  w.landed(suspect);
  EXPECT_EQ(w.next()->msg.ref.id, 1);
}

TEST_F(window_test, a_suspect_that_has_to_wait_for_its_key_holds_up_nobody) {
  w.lane_opened(0);
  site_.trusted = false;
  row& suspect = make(9, "k", &site_);
  suspect.suspect = true;
  w.add(suspect);
  row& earlier = ready(1, site_);
  ASSERT_EQ(w.next(), nullptr);
  w.remove(suspect);
  EXPECT_EQ(w.next(), &earlier);
}

TEST_F(window_test, a_row_that_waits_for_its_share_can_be_removed) {
  w.lane_opened(0);
  site_.share = 1;
  ready(1, site_);
  row& waits = ready(2, site_);
  row* first = w.next();
  ASSERT_EQ(w.next(), nullptr);
  w.remove(waits);
  w.landed(*first);
  EXPECT_EQ(w.next(), nullptr);
  EXPECT_TRUE(w.empty());
}

TEST_F(window_test, a_removed_row_does_not_go) {
  w.lane_opened(0);
  row& r = ready(1);
  w.remove(r);
  EXPECT_EQ(w.next(), nullptr);
  EXPECT_TRUE(w.empty());
}

}  // namespace
}  // namespace outboxd::relay
