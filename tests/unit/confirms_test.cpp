#include "relay/amqp/confirms.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>

namespace outboxd::relay::amqp {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr confirms::time_point start{};

boost::uuids::uuid uuid_of(std::int64_t id) {
  boost::uuids::uuid u{};
  for (int i = 0; i < 8; ++i) u.data[i] = static_cast<std::uint8_t>(id >> (8 * i));
  return u;
}

outbox::row_ref row(std::int64_t id) {
  return {id, uuid_of(id)};
}
std::string message_id(std::int64_t id) {
  return boost::uuids::to_string(uuid_of(id));
}

std::vector<std::int64_t> range(std::int64_t first, std::int64_t last, std::int64_t step = 1) {
  std::vector<std::int64_t> ids;
  for (; first <= last; first += step) ids.push_back(first);
  return ids;
}

// A channel on which rows 1..n were published; row id and tag are the same number.
struct channel {
  explicit channel(std::int64_t n) {
    for (std::int64_t id = 1; id <= n; ++id) publish(id);
  }
  delivery_tag publish(std::int64_t id) {
    return tracker.publish(row(id), start + std::chrono::seconds(id));
  }
  bool ack(delivery_tag tag, bool multiple = false) { return tracker.ack(tag, multiple, out); }
  bool nack(delivery_tag tag, bool multiple = false) { return tracker.nack(tag, multiple, out); }

  std::vector<std::int64_t> with(verdict v) const {
    std::vector<std::int64_t> ids;
    for (const auto& o : out)
      if (o.what == v) ids.push_back(o.ref.id);
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  confirms tracker;
  std::vector<outcome> out;
};

// ---- conversations recorded from RabbitMQ 3.10 ----

TEST(confirms, recorded_nacks_of_high_tags_precede_a_cumulative_ack_of_lower_ones) {
  channel c(20);
  for (delivery_tag tag = 6; tag <= 20; ++tag) EXPECT_TRUE(c.nack(tag));
  EXPECT_TRUE(c.ack(5, true));
  EXPECT_EQ(c.with(verdict::confirmed), range(1, 5));
  EXPECT_EQ(c.with(verdict::nacked), range(6, 20));
  EXPECT_EQ(c.tracker.unconfirmed(), 0u);
}

TEST(confirms, recorded_cumulative_ack_spans_tags_nacked_before) {
  channel c(20);
  EXPECT_TRUE(c.ack(20, true));
  c.out.clear();
  for (std::int64_t id = 21; id <= 50; ++id) c.publish(id);
  for (const delivery_tag tag : {36u, 39u, 42u, 45u, 48u}) EXPECT_TRUE(c.nack(tag));
  EXPECT_TRUE(c.ack(21, true));
  for (const delivery_tag tag : {24u, 27u, 30u, 33u}) EXPECT_TRUE(c.ack(tag));
  EXPECT_TRUE(c.ack(50, true));
  EXPECT_THAT(c.with(verdict::nacked), ElementsAre(36, 39, 42, 45, 48));
  EXPECT_THAT(c.with(verdict::confirmed), SizeIs(25));
  EXPECT_THAT(c.out, SizeIs(30));
  EXPECT_EQ(c.tracker.unconfirmed(), 0u);
}

TEST(confirms, recorded_returns_and_acks_of_four_queue_types_on_one_channel) {
  channel c(40);
  for (std::int64_t tag = 4; tag <= 40; tag += 4) {
    EXPECT_TRUE(c.tracker.returned(message_id(tag), 312, "NO_ROUTE"));
    EXPECT_TRUE(c.ack(static_cast<delivery_tag>(tag)));
  }
  for (const delivery_tag tag : {2u, 3u, 1u, 6u, 7u, 11u, 15u, 19u, 23u, 27u, 31u, 35u, 39u})
    EXPECT_TRUE(c.ack(tag));
  EXPECT_TRUE(c.ack(38, true));
  EXPECT_EQ(c.with(verdict::returned), range(4, 40, 4));
  EXPECT_THAT(c.with(verdict::confirmed), SizeIs(30));
  EXPECT_EQ(c.tracker.unconfirmed(), 0u);
}

TEST(confirms, recorded_cumulative_nacks_of_one_tag_each) {
  channel c(20);
  c.ack(20, true);
  for (std::int64_t id = 21; id <= 23; ++id) c.publish(id);
  for (const delivery_tag tag : {21u, 22u, 23u}) EXPECT_TRUE(c.nack(tag, true));
  EXPECT_THAT(c.with(verdict::nacked), ElementsAre(21, 22, 23));
}

TEST(confirms, recorded_channel_close_leaves_all_200_unknown) {
  channel c(200);
  c.tracker.abandon(doubt::channel_closed, 404, "NOT_FOUND - no exchange 'x' in vhost '/'", c.out);
  ASSERT_THAT(c.out, SizeIs(200));
  EXPECT_EQ(c.with(verdict::unknown), range(1, 200));
  EXPECT_EQ(c.out[7].why, doubt::channel_closed);
  EXPECT_EQ(c.out[7].code, 404);
  EXPECT_EQ(c.out[7].text, "NOT_FOUND - no exchange 'x' in vhost '/'");
}

TEST(confirms, recorded_connection_close_leaves_all_200_unknown) {
  channel c(200);
  c.tracker.abandon(doubt::connection_lost, 541, "INTERNAL_ERROR", c.out);
  EXPECT_EQ(c.with(verdict::unknown), range(1, 200));
  EXPECT_EQ(c.out.back().why, doubt::connection_lost);
  EXPECT_EQ(c.tracker.unconfirmed(), 0u);
}

// ---- acks and nacks ----

TEST(confirms, tags_start_at_one) {
  confirms tracker;
  EXPECT_EQ(tracker.publish(row(70), start), 1u);
  EXPECT_EQ(tracker.publish(row(71), start), 2u);
}

TEST(confirms, acks_may_come_in_any_order) {
  channel c(3);
  EXPECT_TRUE(c.ack(3));
  EXPECT_TRUE(c.ack(1));
  EXPECT_TRUE(c.ack(2));
  ASSERT_THAT(c.out, SizeIs(3));
  EXPECT_EQ(c.out[0].ref, row(3));
  EXPECT_EQ(c.out[1].ref, row(1));
  EXPECT_EQ(c.out[2].ref, row(2));
}

TEST(confirms, cumulative_ack_settles_lowest_first) {
  channel c(4);
  EXPECT_TRUE(c.ack(3, true));
  ASSERT_THAT(c.out, SizeIs(3));
  EXPECT_EQ(c.out[0].ref.id, 1);
  EXPECT_EQ(c.out[2].ref.id, 3);
  EXPECT_EQ(c.tracker.unconfirmed(), 1u);
}

TEST(confirms, cumulative_ack_does_not_touch_nacked_tags) {
  channel c(3);
  EXPECT_TRUE(c.nack(2));
  EXPECT_TRUE(c.ack(3, true));
  EXPECT_THAT(c.with(verdict::confirmed), ElementsAre(1, 3));
  EXPECT_THAT(c.with(verdict::nacked), ElementsAre(2));
}

TEST(confirms, cumulative_nack_does_not_touch_acked_tags) {
  channel c(3);
  EXPECT_TRUE(c.ack(1));
  EXPECT_TRUE(c.nack(3, true));
  EXPECT_THAT(c.with(verdict::confirmed), ElementsAre(1));
  EXPECT_THAT(c.with(verdict::nacked), ElementsAre(2, 3));
}

TEST(confirms, a_tag_settles_once) {
  channel c(3);
  EXPECT_TRUE(c.ack(2));
  c.out.clear();
  EXPECT_FALSE(c.ack(2));
  EXPECT_FALSE(c.nack(2));
  EXPECT_FALSE(c.ack(2, true)) << "it names a tag twice, whatever else it would settle";
  EXPECT_THAT(c.out, IsEmpty());
  EXPECT_EQ(c.tracker.unconfirmed(), 2u);
}

TEST(confirms, tags_the_broker_never_got_are_refused) {
  channel c(3);
  EXPECT_FALSE(c.ack(4));
  EXPECT_FALSE(c.ack(4, true));
  EXPECT_FALSE(c.nack(UINT64_MAX, true));
  EXPECT_FALSE(c.ack(0));
  EXPECT_FALSE(c.nack(0));
  EXPECT_THAT(c.out, IsEmpty());
  EXPECT_EQ(c.tracker.unconfirmed(), 3u);
  EXPECT_FALSE(confirms{}.ack(1, false, c.out));
}

TEST(confirms, tag_zero_with_multiple_means_everything) {
  channel c(3);
  EXPECT_TRUE(c.nack(2));
  EXPECT_TRUE(c.ack(0, true));
  EXPECT_THAT(c.with(verdict::confirmed), ElementsAre(1, 3));
  EXPECT_TRUE(c.ack(0, true));
  EXPECT_THAT(c.out, SizeIs(3));
}

// ---- returns ----

TEST(confirms, a_return_beats_its_ack) {
  channel c(2);
  EXPECT_TRUE(c.tracker.returned(message_id(2), 312, "NO_ROUTE"));
  EXPECT_THAT(c.out, IsEmpty());
  EXPECT_TRUE(c.ack(2, true));
  ASSERT_THAT(c.out, SizeIs(2));
  EXPECT_EQ(c.out[0].what, verdict::confirmed);
  EXPECT_EQ(c.out[1].what, verdict::returned);
  EXPECT_EQ(c.out[1].code, 312);
  EXPECT_EQ(c.out[1].text, "NO_ROUTE");
}

TEST(confirms, a_return_nobody_waits_for_is_refused) {
  channel c(2);
  EXPECT_TRUE(c.ack(1));
  EXPECT_FALSE(c.tracker.returned(message_id(1), 312, "NO_ROUTE")) << "settled";
  EXPECT_FALSE(c.tracker.returned(message_id(3), 312, "NO_ROUTE")) << "never published";
  EXPECT_FALSE(c.tracker.returned("", 312, "NO_ROUTE"));
  EXPECT_FALSE(c.tracker.returned(std::string(36, 'x'), 312, "NO_ROUTE"));
  EXPECT_FALSE(c.tracker.returned("{" + message_id(2).substr(0, 34) + "}", 312, "NO_ROUTE"));
}

TEST(confirms, rows_that_share_a_message_id_all_count_as_returned) {
  confirms tracker;
  std::vector<outcome> out;
  tracker.publish({1, uuid_of(9)}, start);
  tracker.publish({2, uuid_of(9)}, start);
  EXPECT_TRUE(tracker.returned(message_id(9), 312, "NO_ROUTE"));
  EXPECT_TRUE(tracker.ack(2, true, out));
  ASSERT_THAT(out, SizeIs(2));
  EXPECT_EQ(out[0].what, verdict::returned);
  EXPECT_EQ(out[1].what, verdict::returned);
}

TEST(confirms, a_returned_message_whose_ack_was_lost_is_returned) {
  channel c(2);
  EXPECT_TRUE(c.tracker.returned(message_id(1), 312, "NO_ROUTE"));
  c.tracker.abandon(doubt::timeout, 0, "no confirm", c.out);
  ASSERT_THAT(c.out, SizeIs(2));
  EXPECT_EQ(c.out[0].what, verdict::returned);
  EXPECT_EQ(c.out[0].why, doubt::none);
  EXPECT_EQ(c.out[0].code, 312);
  EXPECT_EQ(c.out[1].what, verdict::unknown);
  EXPECT_EQ(c.out[1].why, doubt::timeout);
}

// ---- age and end ----

TEST(confirms, oldest_is_the_lowest_unconfirmed_tag) {
  channel c(3);
  EXPECT_FALSE(confirms{}.oldest());
  EXPECT_EQ(c.tracker.oldest(), start + std::chrono::seconds(1));
  c.ack(2);
  EXPECT_EQ(c.tracker.oldest(), start + std::chrono::seconds(1));
  c.ack(1);
  EXPECT_EQ(c.tracker.oldest(), start + std::chrono::seconds(3));
  c.ack(3);
  EXPECT_FALSE(c.tracker.oldest());
}

TEST(confirms, abandoning_skips_what_is_settled_and_starts_afresh) {
  channel c(4);
  c.ack(1);
  c.nack(3);
  c.out.clear();
  c.tracker.abandon(doubt::connection_lost, 0, "reset", c.out);
  EXPECT_EQ(c.with(verdict::unknown), (std::vector<std::int64_t>{2, 4}));
  c.tracker.abandon(doubt::connection_lost, 0, "reset", c.out);
  EXPECT_THAT(c.out, SizeIs(2));
  EXPECT_FALSE(c.ack(2));
  EXPECT_EQ(c.publish(9), 1u);
}

// ---- against a model ----

// The same bookkeeping in the most obvious way.
struct model {
  std::map<delivery_tag, std::int64_t> open;
  std::set<delivery_tag> returned;
  delivery_tag next = 1;

  std::vector<std::pair<std::int64_t, verdict>> settle(delivery_tag tag, bool multiple,
                                                       verdict what, bool& ok) {
    ok = open.contains(tag) || (tag == 0 && multiple);
    std::vector<std::pair<std::int64_t, verdict>> result;
    if (!ok) return result;
    std::vector<delivery_tag> tags;
    for (const auto& [t, id] : open)
      if (t == tag || (multiple && (t < tag || tag == 0))) tags.push_back(t);
    for (const delivery_tag t : tags) {
      result.emplace_back(open[t], returned.contains(t) ? verdict::returned : what);
      open.erase(t);
    }
    return result;
  }
};

TEST(confirms, agrees_with_a_naive_model_over_random_conversations) {
  std::mt19937 random(11);
  const auto below = [&](std::uint64_t n) {
    return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random);
  };
  for (int conversation = 0; conversation < 200; ++conversation) {
    confirms tracker;
    model expected;
    for (int step = 0; step < 300; ++step) {
      const auto dice = below(10);
      const delivery_tag tag =
          below(8) == 0 ? below(expected.next + 3)
          : expected.open.empty()
              ? 0
              : std::next(expected.open.begin(),
                          static_cast<std::ptrdiff_t>(below(expected.open.size())))
                    ->first;
      if (dice < 5) {
        const auto id = static_cast<std::int64_t>(expected.next);
        ASSERT_EQ(tracker.publish(row(id), start + std::chrono::seconds(id)), expected.next);
        expected.open[expected.next++] = id;
      } else if (dice == 5) {
        ASSERT_EQ(tracker.returned(message_id(static_cast<std::int64_t>(tag)), 312, ""),
                  expected.open.contains(tag));
        if (expected.open.contains(tag)) expected.returned.insert(tag);
      } else {
        const bool multiple = below(3) == 0, positive = dice < 9;
        bool ok = false;
        const auto want =
            expected.settle(tag, multiple, positive ? verdict::confirmed : verdict::nacked, ok);
        std::vector<outcome> out;
        ASSERT_EQ(positive ? tracker.ack(tag, multiple, out) : tracker.nack(tag, multiple, out),
                  ok);
        std::vector<std::pair<std::int64_t, verdict>> got;
        got.reserve(out.size());
        for (const auto& o : out) got.emplace_back(o.ref.id, o.what);
        ASSERT_EQ(got, want);
      }
      ASSERT_EQ(tracker.unconfirmed(), expected.open.size());
      if (expected.open.empty()) {
        ASSERT_FALSE(tracker.oldest());
      } else {
        ASSERT_EQ(tracker.oldest(), start + std::chrono::seconds(expected.open.begin()->second));
      }
    }
  }
}

TEST(confirms, a_message_that_is_never_confirmed_does_not_keep_those_behind_it_in_memory) {
  channel c(1);
  for (std::int64_t id = 2; id <= 100'000; ++id) {
    c.publish(id);
    if (id % 1'000 == 0) continue;
    ASSERT_TRUE(c.ack(static_cast<delivery_tag>(id)));
  }
  EXPECT_LE(c.tracker.remembered(), 2'500u);
  EXPECT_EQ(c.tracker.unconfirmed(), 101u);
  EXPECT_EQ(c.tracker.oldest(), start + 1s);
  EXPECT_FALSE(c.ack(5'001)) << "settled long ago";
  EXPECT_TRUE(c.tracker.returned(message_id(1'000), 312, "NO_ROUTE"));
  EXPECT_TRUE(c.nack(2'000));
  EXPECT_FALSE(c.ack(2'000));
  EXPECT_TRUE(c.ack(90'000, true));
  EXPECT_EQ(c.with(verdict::returned), range(1'000, 1'000));
  EXPECT_EQ(c.with(verdict::nacked), range(2'000, 2'000));
  EXPECT_EQ(c.tracker.unconfirmed(), 10u);
  c.tracker.abandon(doubt::connection_lost, 0, "", c.out);
  EXPECT_EQ(c.with(verdict::unknown), range(91'000, 100'000, 1'000));
  EXPECT_EQ(c.out.size(), 100'000u);
}

}  // namespace
}  // namespace outboxd::relay::amqp
