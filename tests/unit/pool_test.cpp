#include "relay/pool.hpp"

#include <gtest/gtest.h>

#include <string>

namespace outboxd::relay {
namespace {

struct thing {
  std::string name = "new";
  int* ended = nullptr;
  ~thing() {
    if (ended != nullptr) ++*ended;
  }
};

TEST(pool, what_is_taken_is_as_new) {
  pool<thing> things;
  auto one = things.take();
  one->name = "used";
  things.give_back(std::move(one));
  EXPECT_EQ(things.take()->name, "new");
}

TEST(pool, what_is_given_back_ends_at_once) {
  int ended = 0;
  pool<thing> things;
  auto one = things.take();
  one->ended = &ended;
  things.give_back(std::move(one));
  EXPECT_EQ(ended, 1);
}

TEST(pool, two_that_are_out_are_different) {
  pool<thing> things;
  things.give_back(things.take());
  const auto one = things.take();
  const auto other = things.take();
  EXPECT_NE(one, other);
}

}  // namespace
}  // namespace outboxd::relay
