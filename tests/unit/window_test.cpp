#include "relay/window.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <set>

namespace outboxd::relay {
namespace {

class window_test : public testing::Test {
 protected:
  row& make(std::int64_t id, std::optional<std::string> key = std::nullopt) {
    rows_.push_back(row{});
    rows_.back().msg.ref.id = id;
    rows_.back().msg.ordering_key = std::move(key);
    return rows_.back();
  }

  row& ready(std::int64_t id, std::optional<std::string> key = std::nullopt) {
    row& r = make(id, std::move(key));
    w.add(r);
    return r;
  }

  // It came back and goes again.
  void again(row& r, bool suspect) {
    w.landed(r);
    r.suspect = suspect;
    w.add(r);
  }

  window w{2, 4};

 private:
  std::deque<row> rows_;
};

TEST_F(window_test, nothing_goes_while_no_lane_is_open) {
  ready(1);
  EXPECT_EQ(w.next(), nullptr);
  w.lane_opened(0);
  EXPECT_NE(w.next(), nullptr);
}

TEST(window, a_lane_takes_the_lowest_id_first_with_a_key_or_without) {
  std::deque<row> rows(3);
  window w(1, 4);
  w.lane_opened(0);
  rows[0].msg.ref.id = 3;
  rows[1].msg.ref.id = 1;
  rows[1].msg.ordering_key = "k";
  rows[2].msg.ref.id = 2;
  for (row& r : rows) w.add(r);
  EXPECT_EQ(w.next()->msg.ref.id, 1);
  EXPECT_EQ(w.next()->msg.ref.id, 2);
  EXPECT_EQ(w.next()->msg.ref.id, 3);
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

TEST_F(window_test, a_suspect_has_its_lane_to_itself) {
  w.lane_opened(0);
  row& first = ready(1);
  row& second = ready(2);
  ASSERT_EQ(w.next(), &first);
  ASSERT_EQ(w.next(), &second);
  again(first, true);
  again(second, true);
  row& bystander = ready(3);
  EXPECT_EQ(w.next(), &first);
  EXPECT_EQ(w.next(), nullptr);
  w.landed(first);
  EXPECT_EQ(w.next(), &second);
  EXPECT_EQ(w.next(), nullptr) << "the last suspect is still in flight";
  w.landed(second);
  EXPECT_EQ(w.next(), &bystander);
}

TEST_F(window_test, suspects_do_not_stop_the_other_lanes) {
  w.lane_opened(0);
  row& suspect = ready(1);
  ASSERT_EQ(w.next(), &suspect);
  again(suspect, true);
  w.lane_opened(1);
  row& bystander = ready(2);
  const std::set<row*> gone{w.next(), w.next()};
  EXPECT_EQ(gone, (std::set<row*>{&suspect, &bystander}));
  EXPECT_EQ(bystander.lane, 1u);
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
