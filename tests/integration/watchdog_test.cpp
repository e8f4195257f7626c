// With a real loop and a real thread: short limits, so that nobody waits.
#include "service/watchdog.hpp"

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <future>

namespace outboxd::service {
namespace {

using namespace std::chrono_literals;

class watchdog_test : public testing::Test {
 protected:
  ~watchdog_test() override {
    if (loop_.joinable()) end_loop();
  }

  void run_loop() {
    watchdog_.start();
    loop_ = std::thread([this] { context_.run(); });
  }
  void end_loop() {
    boost::asio::post(context_, [this] { watchdog_.rest(); });
    loop_.join();
  }
  // Long enough for a hanging loop to be noticed. It may only find nothing, never fail.
  bool quiet_for_a_while() { return hung_future_.wait_for(3 * limits_.loop) != ready; }

  static constexpr auto ready = std::future_status::ready;
  boost::asio::io_context context_;
  const watchdog_limits limits_{.loop = 500ms, .look_every = 10ms};
  std::atomic<int> hangs_ = 0;
  std::promise<std::chrono::milliseconds> hung_;
  std::future<std::chrono::milliseconds> hung_future_ = hung_.get_future();
  std::promise<void> late_;
  watchdog watchdog_{context_.get_executor(),
                     limits_,
                     {[this](std::chrono::milliseconds silent) {
                        if (++hangs_ == 1) hung_.set_value(silent);
                      },
                      [this] { late_.set_value(); }}};
  std::thread loop_;
};

TEST_F(watchdog_test, a_handler_that_does_not_return_is_noticed) {
  run_loop();
  std::promise<void> noticed;
  boost::asio::post(context_, [&] { noticed.get_future().wait(); });
  ASSERT_EQ(hung_future_.wait_for(30s), ready);
  EXPECT_GE(hung_future_.get(), limits_.loop);
  noticed.set_value();
}

// The timer has expired by then, and its handler waits behind the one that rests.
TEST_F(watchdog_test, a_beat_that_is_under_way_does_not_keep_the_loop_running) {
  run_loop();
  std::promise<void> resting;
  boost::asio::post(context_, [&] { resting.get_future().wait(); });
  ASSERT_EQ(hung_future_.wait_for(30s), ready);
  boost::asio::post(context_, [this] { watchdog_.rest(); });
  std::future<void> ended = std::async(std::launch::async, [this] { loop_.join(); });
  resting.set_value();
  const bool in_time = ended.wait_for(30s) == ready;
  EXPECT_TRUE(in_time);
  if (!in_time) context_.stop();
}

TEST_F(watchdog_test, a_loop_that_turns_is_left_alone_and_so_is_one_that_has_ended) {
  run_loop();
  EXPECT_TRUE(quiet_for_a_while());
  end_loop();
  EXPECT_TRUE(quiet_for_a_while());
}

TEST_F(watchdog_test, a_shutdown_that_does_not_end_is_noticed_also_without_the_loop) {
  run_loop();
  watchdog_.shut_down_within(1h);
  watchdog_.shut_down_within(50ms);
  watchdog_.shut_down_within(1h);
  end_loop();
  EXPECT_EQ(late_.get_future().wait_for(30s), ready);
}

TEST_F(watchdog_test, one_that_was_never_started_ends) {}

}  // namespace
}  // namespace outboxd::service
