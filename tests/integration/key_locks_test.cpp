// Transactions that serialize the writers of several keys: one by one they may wait for each other,
// all at once they do not.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <tuple>
#include <vector>

#include "tests/integration/migrated_database.hpp"
#include "tests/support/eventually.hpp"

using namespace outboxd::tests;
using namespace std::chrono_literals;

namespace {

constexpr const char* deadlock_detected = "40P01";

// Two buckets, and in each a key of either transaction: by the order of its keys one goes up
// through the buckets, the other down.
struct key_locks : testing::Test {
  key_locks() {
    const auto bucket = [&](const std::string& key) {
      return std::stoi(owner.must("SELECT hashtext('" + key + "') & 1023"));
    };
    std::tie(lower, upper) = std::minmax({bucket("a"), bucket("b")});
    up = {key_of(lower, "a"), key_of(upper, "b")};
    down = {key_of(upper, "c"), key_of(lower, "d")};
  }

  std::string key_of(int bucket, const std::string& prefix) {
    return owner.must("SELECT k FROM generate_series(1, 100000) AS n, concat('" + prefix +
                      "', n) AS k WHERE hashtext(k) & 1023 = " + std::to_string(bucket) +
                      " LIMIT 1");
  }

  static std::string one(const std::string& key) { return "SELECT outbox.lock_key('" + key + "')"; }
  static std::string all(const std::vector<std::string>& keys) {
    return "SELECT outbox.lock_keys(ARRAY['" + keys[0] + "', '" + keys[1] + "'])";
  }
  std::string locks(bool granted) {
    return owner.must(
        "SELECT coalesce(string_agg((objid::int - 1024)::text, ' ' ORDER BY objid), '') "
        "FROM pg_locks WHERE locktype = 'advisory' AND granted = " +
        std::string(granted ? "true" : "false"));
  }

  migrated_database database;
  sql_session owner = database.owner();
  sql_session first = database.writer(), second = database.writer();
  int lower = 0, upper = 0;
  std::vector<std::string> up, down;
};

TEST_F(key_locks, one_by_one_in_the_order_of_keys_two_transactions_may_wait_for_each_other) {
  first.must("BEGIN; " + one(up[0]));
  second.must("BEGIN; " + one(down[0]));
  auto other = std::async(std::launch::async, [&] { return first.run(one(up[1])); });
  const auto mine = second.run(one(down[1]));
  if (!mine.ok()) second.must("ROLLBACK");
  const auto theirs = other.get();
  EXPECT_EQ(mine.ok() ? theirs.sqlstate : mine.sqlstate, deadlock_detected);
}

TEST_F(key_locks, all_at_once_they_go_by_the_order_of_buckets_and_take_turns) {
  sql_session third = database.writer();
  third.must("BEGIN; " + one(up[0]));
  std::vector<std::future<std::string>> both;
  for (auto* session : {&first, &second}) {
    both.push_back(std::async(std::launch::async, [=, this] {
      return session->must("BEGIN; " + all(session == &first ? up : down) + "; COMMIT");
    }));
  }
  const std::string low = std::to_string(lower);
  EXPECT_TRUE(eventually(30s, [&] { return locks(false) == low + " " + low; })) << locks(false);
  EXPECT_EQ(locks(true), low) << "who waits for the lower bucket holds no other";
  third.must("COMMIT");
  for (auto& each : both) EXPECT_NO_THROW(each.get());
}

TEST_F(key_locks, each_bucket_is_locked_once_and_null_is_no_key) {
  first.must("BEGIN; SELECT outbox.lock_keys(ARRAY['" + up[1] + "', '" + up[0] + "', '" + down[0] +
             "'])");
  EXPECT_EQ(locks(true), std::to_string(lower) + " " + std::to_string(upper));
  EXPECT_EQ(second.must("SELECT outbox.lock_keys('{}')"), "");
  EXPECT_EQ(second.run("SELECT outbox.lock_keys(ARRAY['a', NULL])").sqlstate, "22023");
  EXPECT_EQ(second.run("SELECT outbox.lock_keys(NULL)").sqlstate, "22023");
}

}  // namespace
