// Many rows behind a hold: what they cost, and that they go when it is lifted.
#include "tests/unit/core_world.hpp"

namespace outboxd::relay {
namespace {

using testing::ElementsAre;
using tests::row_status;

class core_backlog : public core_world {
 protected:
  explicit core_backlog(const options& o = options{}) : core_world(o) {
    broker_ = [this](const row& r) {
      return r.msg.routing_key == missing_ ? verdict::returned : verdict::confirmed;
    };
  }

  void insert_many(int count, const std::string& routing_key,
                   const std::optional<std::string>& key = std::nullopt) {
    for (int i = 0; i < count; ++i) insert(routing_key, key);
  }

  std::vector<std::int64_t> of(const std::function<bool(std::int64_t)>& which) const {
    std::vector<std::int64_t> some;
    for (const std::int64_t id : confirmed_) {
      if (which(id)) some.push_back(id);
    }
    return some;
  }

  std::string missing_ = "gone";
};

class small_window : public core_backlog {
 protected:
  small_window() : core_backlog(twenty()) {}

 private:
  static options twenty() {
    options o;
    o.max_in_flight = 20;
    return o;
  }
};

TEST_F(core_backlog, rows_behind_a_hold_do_not_keep_the_reader_busy) {
  insert_many(5'000, "gone");
  lead();
  run_for(60s);
  ASSERT_EQ(core_.held_destinations(), 1u);
  const std::size_t reads = table_.calls("read");
  const std::size_t publishes = published_.size();
  run_for(10min);
  // One a poll interval, for each probe a round, and the look at everything every five minutes.
  EXPECT_LE(table_.calls("read") - reads, 600u + 60u * 8u + 2u * 8u);
  EXPECT_LE(published_.size() - publishes, 60u + 3u * 10u);
}

TEST_F(core_backlog, rows_with_keys_behind_a_hold_do_not_keep_the_reader_busy) {
  for (int i = 0; i < 3'000; ++i) insert("gone", "k" + std::to_string(i % 100));
  lead();
  run_for(60s);
  ASSERT_EQ(core_.held_destinations(), 1u);
  const std::size_t reads = table_.calls("read");
  run_for(10min);
  EXPECT_LE(table_.calls("read") - reads, 600u + 60u * 8u + 2u * 8u);
}

TEST_F(core_backlog, a_hundred_thousand_rows_behind_a_hold_need_no_memory) {
  insert_many(3, "gone");
  lead();
  run_for(100ms);
  ASSERT_EQ(core_.held_destinations(), 1u);
  for (int i = 0; i < 100'000; ++i) {
    insert("gone", i % 2 == 0 ? std::nullopt : std::optional("k" + std::to_string(i)));
  }
  const std::int64_t last = insert("here");
  published_.clear();
  core_.notified(now_);
  run_for(2s);
  EXPECT_LE(most_rows_, core_.capacity() / 4);
  EXPECT_THAT(confirmed_, ElementsAre(last));
  EXPECT_LE(published_.size(), 10u);
  EXPECT_EQ(count(row_status::dead), 0u);
}

TEST_F(core_backlog, everything_behind_a_hold_goes_when_the_destination_is_there_again) {
  insert_many(2'000, "gone");
  for (int i = 0; i < 1'000; ++i) insert("gone", "k" + std::to_string(i % 10));
  lead();
  run_for(5min);
  EXPECT_EQ(count(row_status::sent), 0u);
  missing_.clear();
  run_for(2min);
  EXPECT_EQ(count(row_status::sent), 3'000u);
  EXPECT_EQ(core_.held_destinations(), 0u);
  for (int k = 0; k < 10; ++k) {
    const auto ids = of([k](std::int64_t id) { return id > 2'000 && (id - 2'001) % 10 == k; });
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << "order of key k" << k;
  }
}

TEST_F(core_backlog, keys_that_alternate_between_a_held_destination_and_others_keep_their_order) {
  for (int i = 0; i < 2'000; ++i)
    insert(i % 3 == 0 ? "gone" : "here", "k" + std::to_string(i / 2 % 20));
  lead();
  run_for(5min);
  missing_.clear();
  run_for(3min);
  EXPECT_EQ(count(row_status::sent), 2'000u);
  for (int k = 0; k < 20; ++k) {
    const auto ids = of([k](std::int64_t id) { return (id - 1) / 2 % 20 == k; });
    EXPECT_EQ(ids.size(), 100u);
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << "order of key k" << k;
  }
}

TEST_F(core_backlog, a_blocked_key_with_many_rows_does_not_keep_the_others_waiting) {
  insert("gone", "blocked");
  insert_many(20'000, "here", "blocked");
  std::vector<std::int64_t> others;
  others.reserve(500);
  for (int i = 0; i < 500; ++i) others.push_back(insert("here", "other " + std::to_string(i)));
  lead();
  run_for(2s);
  EXPECT_THAT(confirmed_, testing::UnorderedElementsAreArray(others));
  EXPECT_LE(most_rows_, core_.capacity());
}

// A headers exchange: what a row says of itself decides.
TEST_F(small_window, rows_that_can_never_go_do_not_keep_their_neighbours_waiting) {
  broker_ = [](const row& r) {
    return r.msg.ref.id <= 100 ? verdict::returned : verdict::confirmed;
  };
  insert_many(300, "headers");
  lead();
  run_for(15min);
  EXPECT_EQ(confirmed_.size(), 200u);
  EXPECT_EQ(count(row_status::dead), 0u);
}

TEST_F(core_backlog, a_scheduled_row_for_a_held_destination_waits_among_the_others) {
  insert_many(10, "gone", "k");
  const std::int64_t scheduled = insert("gone", "k", 5s);
  const std::int64_t later = insert("gone", "k");
  insert_many(10, "gone");
  lead();
  run_for(60s);
  EXPECT_EQ(table_.find(scheduled)->status, row_status::pending);
  missing_.clear();
  run_for(60s);
  EXPECT_EQ(count(row_status::sent), 22u);
  const auto ids = of([later](std::int64_t id) { return id <= later; });
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
}

class hot_key : public core_backlog {
 protected:
  explicit hot_key(bool pipelined = true) : core_backlog(in_line(pipelined)) {}

  // Most of its rows are skipped, and read again when there is room: a statement for each body
  // would cost more than everything else.
  void expect_rows_to_come_with_their_bodies() {
    insert_many(20'000, "q", "hot");
    lead();
    run_for(60s);
    EXPECT_EQ(count(row_status::sent), 20'000u);
    EXPECT_TRUE(std::is_sorted(confirmed_.begin(), confirmed_.end()));
    EXPECT_LE(table_.calls("load_bodies"), 20u);
  }

 private:
  static options in_line(bool pipelined) {
    options o;
    o.pipelined = pipelined;
    return o;
  }
};

class strict_hot_key : public hot_key {
 protected:
  strict_hot_key() : hot_key(false) {}
};

TEST_F(hot_key, rows_come_with_their_bodies) {
  expect_rows_to_come_with_their_bodies();
}

TEST_F(strict_hot_key, rows_come_with_their_bodies) {
  expect_rows_to_come_with_their_bodies();
}

}  // namespace
}  // namespace outboxd::relay
