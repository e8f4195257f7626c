// Drives an amqp_publisher from a test: everything runs in the test's own thread while it waits for
// something. Checks on the way what every publisher promises: one outcome for each row, none in
// doubt before its lane is closed, and no event from inside publish().
#pragma once

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/uuid/random_generator.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "relay/amqp/amqp_publisher.hpp"
#include "relay/publisher.hpp"
#include "tests/support/recording_log.hpp"

namespace outboxd::tests {

class publisher_driver final : public relay::publisher_events {
 public:
  using duration = std::chrono::milliseconds;
  static constexpr duration patience{60'000};

  static relay::amqp::publisher_options options(const std::string& urls) {
    relay::amqp::publisher_options o;
    o.nodes = [urls] { return relay::amqp::parse_uris(urls); };
    o.lanes = 1;
    o.connection_name = "outboxd:test";
    o.version = "0.0";
    o.reconnect_min = duration(20);
    o.reconnect_max = duration(200);
    return o;
  }

  explicit publisher_driver(const std::string& urls) : publisher_driver(options(urls)) {}
  explicit publisher_driver(const relay::amqp::publisher_options& o) {
    publisher_ = std::make_unique<relay::amqp::amqp_publisher>(io_.get_executor(), o, log);
  }

  void start() { publisher_->start(*this); }
  // Starts, and waits until every lane is open.
  [[nodiscard]] bool start_and_open() {
    start();
    return run_until([&] { return open_.size() == publisher_->lanes(); });
  }

  template <typename Predicate>
  [[nodiscard]] bool run_until(Predicate done, duration limit = patience) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.restart();
      io_.run_one_for(duration(20));
    }
    return true;
  }

  // A row with a new id; publish it, or let the test change it first.
  outbox::message& row(std::string exchange, std::string routing_key, std::string body = "{}") {
    outbox::message& m = *rows_.emplace_back(std::make_unique<outbox::message>());
    m.ref = {++last_id_, random_uuid_()};
    m.exchange = std::move(exchange);
    m.routing_key = std::move(routing_key);
    m.body = std::move(body);
    m.body_size = m.body.size();
    m.body_loaded = true;
    m.created_at = std::chrono::system_clock::now();
    return m;
  }
  void renew(relay::lane_id lane = 0) {
    open_.erase(lane);
    publisher_->renew(lane);
  }
  std::int64_t publish(const outbox::message& m, relay::lane_id lane = 0) {
    in_publish_ = true;
    publisher_->publish(lane, m);
    in_publish_ = false;
    waiting_.insert(m.ref.id);
    return m.ref.id;
  }
  std::int64_t publish(std::string exchange, std::string routing_key, std::string body = "{}") {
    return publish(row(std::move(exchange), std::move(routing_key), std::move(body)));
  }

  [[nodiscard]] bool settle(duration limit = patience) {
    return run_until([&] { return waiting_.empty(); }, limit);
  }
  // "confirmed", "unknown timeout", "no_exchange 404": the outcome of a row, empty when there is
  // none yet.
  std::string outcome_of(std::int64_t id) const {
    const auto it = outcomes_.find(id);
    if (it == outcomes_.end()) return {};
    const relay::outcome& o = it->second;
    std::string text(to_string(o.what));
    if (o.why != relay::doubt::none) text += " " + std::string(to_string(o.why));
    if (o.code != 0) text += " " + std::to_string(o.code);
    return text;
  }
  const std::map<std::int64_t, relay::outcome>& outcomes() const { return outcomes_; }
  std::map<std::string, int> count() const {
    std::map<std::string, int> n;
    for (const auto& [id, o] : outcomes_) ++n[outcome_of(id)];
    return n;
  }

  [[nodiscard]] bool stop(duration limit = duration(5'000)) {
    bool stopped = false;
    publisher_->stop(limit, [&] { stopped = true; });
    return run_until([&] { return stopped; }, limit + patience);
  }

  std::size_t open_lanes() const { return open_.size(); }
  bool is_open(relay::lane_id lane) const { return open_.contains(lane); }
  bool is_blocked(relay::lane_id lane = 0) const { return blocked_.contains(lane); }
  int times_opened() const { return times_opened_; }
  const std::string& last_close() const {
    return last_close_;
  }  // "channel_closed 403 ACCESS_REFUSED…"
  relay::publisher& it() { return *publisher_; }

  // What is unknown is published again, from inside the event that says the lane is open, or at
  // once if nothing has said that it is closed: as the relay does it.
  bool sends_again = false;

  recording_log log;

 private:
  void lane_opened(relay::lane_id lane) override {
    check();
    EXPECT_TRUE(open_.insert(lane).second);
    ++times_opened_;
    for (const outbox::message* row : std::exchange(again_[lane], {})) publish(*row, lane);
  }
  void lane_closed(relay::lane_id lane, relay::doubt why, int code,
                   const std::string& text) override {
    check();
    EXPECT_EQ(open_.erase(lane), 1u);
    blocked_.erase(lane);
    last_close_ = std::string(to_string(why)) + " " + std::to_string(code) + " " + text;
  }
  void lane_blocked(relay::lane_id lane, bool blocked, const std::string&) override {
    check();
    EXPECT_TRUE(open_.contains(lane));
    if (blocked) {
      blocked_.insert(lane);
    } else {
      blocked_.erase(lane);
    }
  }
  void outcomes(relay::lane_id lane, std::span<const relay::outcome> batch) override {
    check();
    EXPECT_FALSE(batch.empty());
    for (const relay::outcome& o : batch) {
      EXPECT_FALSE(o.what == relay::verdict::unknown && open_.contains(lane))
          << "in doubt, although nothing has said that the lane is closed";
    }
    for (const relay::outcome& o : batch) {
      EXPECT_EQ(waiting_.erase(o.ref.id), 1u) << "a second outcome for row " << o.ref.id;
      outcomes_[o.ref.id] = o;
      if (!sends_again || o.what != relay::verdict::unknown) continue;
      waiting_.insert(o.ref.id);
      const outbox::message& row = *rows_.at(static_cast<std::size_t>(o.ref.id) - 1);
      if (open_.contains(lane)) {
        publish(row, lane);
      } else {
        again_[lane].push_back(&row);
      }
    }
  }
  void check() const { EXPECT_FALSE(in_publish_) << "an event from inside publish()"; }

  boost::asio::io_context io_{1};
  std::unique_ptr<relay::amqp::amqp_publisher> publisher_;
  std::vector<std::unique_ptr<outbox::message>> rows_;
  boost::uuids::random_generator random_uuid_;
  std::int64_t last_id_ = 0;
  std::set<std::int64_t> waiting_;
  std::map<std::int64_t, relay::outcome> outcomes_;
  std::set<relay::lane_id> open_, blocked_;
  std::map<relay::lane_id, std::vector<const outbox::message*>> again_;
  int times_opened_ = 0;
  std::string last_close_;
  bool in_publish_ = false;
};

}  // namespace outboxd::tests
