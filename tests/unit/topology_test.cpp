#include "relay/amqp/topology.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <list>
#include <string>
#include <vector>

namespace outboxd::relay::amqp {
namespace {

using namespace std::chrono_literals;

// A topology, the rows it was given, and what it wanted after the last event.
class fixture {
 public:
  // Returns what is to be declared, then what is to be published: "?orders 1 2".
  std::string submit(std::int64_t id, std::string exchange, std::string key = {}) {
    outbox::message& row = rows_.emplace_back();
    row.ref.id = id;
    row.exchange = std::move(exchange);
    if (!key.empty()) row.ordering_key = std::move(key);
    topology::steps out;
    it.submit(row, now, out);
    return print(out);
  }
  std::string opened() {
    topology::steps out;
    it.control_opened(out);
    return print(out);
  }
  std::string declared() {
    topology::steps out;
    EXPECT_TRUE(it.declared(out));
    return print(out);
  }
  std::string closed(int code, const std::string& text = "NOT_FOUND") {
    topology::steps out;
    it.control_closed(code, text, out);
    return print(out);
  }

  topology it;
  topology::time_point now{};

 private:
  static std::string print(const topology::steps& s) {
    std::string line;
    for (const outcome& o : s.refused) {
      line += " " + std::to_string(o.ref.id) + ":" + std::string(to_string(o.what));
    }
    for (const std::string& exchange : s.declare) line += " ?" + exchange;
    for (const outbox::message* row : s.publish) line += " " + std::to_string(row->ref.id);
    return line.empty() ? line : line.substr(1);
  }

  std::list<outbox::message> rows_;
};

TEST(topology, never_asks_for_the_default_exchange) {
  fixture f;
  EXPECT_EQ(f.submit(1, ""), "1") << "not even a control channel is needed";
}

TEST(topology, never_asks_for_a_name_that_amqp_cannot_carry) {
  fixture f;
  f.opened();
  EXPECT_EQ(f.submit(1, std::string(256, 'x')), "1") << "the encoder refuses it";
  EXPECT_EQ(f.submit(2, std::string(255, 'x')), "?" + std::string(255, 'x'));
}

TEST(topology, asks_once_and_publishes_when_the_exchange_is_there) {
  fixture f;
  f.opened();
  EXPECT_EQ(f.submit(1, "orders"), "?orders");
  EXPECT_EQ(f.submit(2, "orders"), "");
  EXPECT_EQ(f.declared(), "1 2");
  EXPECT_EQ(f.submit(3, "orders"), "3");
}

TEST(topology, asks_for_predeclared_exchanges_too) {
  fixture f;
  f.opened();
  EXPECT_EQ(f.submit(1, "amq.direct"), "?amq.direct");
  EXPECT_EQ(f.submit(2, "amq.typo"), "?amq.typo");
}

TEST(topology, asks_when_the_control_channel_opens) {
  fixture f;
  EXPECT_EQ(f.submit(1, "orders"), "");
  EXPECT_EQ(f.opened(), "?orders");
}

TEST(topology, a_missing_exchange_costs_only_its_own_rows) {
  fixture f;
  f.opened();
  f.submit(1, "missing");
  f.submit(2, "orders");
  f.submit(3, "missing");
  EXPECT_EQ(f.submit(4, ""), "4");
  EXPECT_EQ(f.closed(404), "1:no_exchange 3:no_exchange");
  EXPECT_EQ(f.opened(), "?orders") << "the question that was lost with the channel";
  EXPECT_EQ(f.declared(), "2");
}

TEST(topology, never_asks_for_a_name_that_fits_no_frame) {
  fixture f;
  f.opened();
  EXPECT_EQ(f.submit(1, std::string(256, 'x')), "1") << "the encoder refuses it";
  EXPECT_EQ(f.submit(2, std::string(255, 'x')), "?" + std::string(255, 'x'));
}

TEST(topology, a_missing_exchange_is_asked_for_again) {
  fixture f;
  f.opened();
  f.submit(1, "late");
  f.closed(404);
  EXPECT_EQ(f.submit(2, "late"), "");
  EXPECT_EQ(f.opened(), "?late");
  EXPECT_EQ(f.declared(), "2");
}

TEST(topology, tells_forbidden_from_missing) {
  fixture f;
  f.opened();
  f.submit(1, "secret");
  EXPECT_EQ(f.closed(403, "ACCESS_REFUSED"), "1:forbidden");
}

TEST(topology, the_refusal_carries_the_brokers_words) {
  outbox::message row;
  row.exchange = "nope";
  topology t;
  topology::steps out;
  t.control_opened(out);
  t.submit(row, {}, out);
  t.control_closed(404, "NOT_FOUND - no exchange 'nope'", out);
  ASSERT_EQ(out.refused.size(), 1u);
  EXPECT_EQ(out.refused_exchange, "nope");
  EXPECT_EQ(out.refused[0].code, 404);
  EXPECT_EQ(out.refused[0].text, "NOT_FOUND - no exchange 'nope'");
}

TEST(topology, a_row_does_not_overtake_an_earlier_one_of_its_key) {
  fixture f;
  f.opened();
  f.submit(1, "orders", "k");
  EXPECT_EQ(f.submit(2, "", "k"), "") << "its exchange is known, its key waits";
  EXPECT_EQ(f.submit(3, "", "other"), "3");
  EXPECT_EQ(f.declared(), "1 2");
  EXPECT_EQ(f.submit(4, "", "k"), "4");
}

TEST(topology, a_key_goes_on_when_its_first_row_is_refused) {
  fixture f;
  f.opened();
  f.submit(1, "missing", "k");
  f.submit(2, "", "k");
  EXPECT_EQ(f.closed(404), "1:no_exchange 2");
}

TEST(topology, a_key_over_several_exchanges_keeps_its_order) {
  fixture f;
  f.opened();
  f.submit(1, "a", "k");
  f.submit(2, "b", "k");
  f.submit(3, "a", "k");
  EXPECT_EQ(f.declared(), "1") << "3 waits behind 2, whose exchange is not known yet";
  EXPECT_EQ(f.declared(), "2 3");
}

TEST(topology, has_a_bounded_number_of_questions_on_their_way) {
  fixture f;
  f.opened();
  int asked = 0;
  for (int i = 0; i < 100; ++i) {
    if (!f.submit(i, "x" + std::to_string(i)).empty()) ++asked;
  }
  EXPECT_EQ(asked, 32);
  EXPECT_EQ(f.declared(), "?x32 0");
}

TEST(topology, forgets_rather_than_grow_for_ever) {
  fixture f;
  f.opened();
  for (int i = 0; i < 10'000; ++i) {
    f.submit(i, "x" + std::to_string(i));
    f.declared();
  }
  EXPECT_EQ(f.submit(1, "x0"), "1") << "not yet";
  f.submit(2, "one too many");
  f.declared();
  EXPECT_EQ(f.submit(3, "x0"), "?x0");
}

TEST(topology, asks_again_for_an_exchange_forgotten_while_a_row_waited_for_its_key) {
  fixture f;
  f.opened();
  f.submit(1, "known");
  f.declared();
  for (int i = 1; i < 10'000; ++i) {
    f.submit(i, "x" + std::to_string(i));
    f.declared();
  }
  f.submit(2, "one too many");
  f.submit(3, "slow", "k");
  f.submit(4, "known", "k");
  EXPECT_EQ(f.declared(), "?known 2");
  EXPECT_EQ(f.declared(), "3");
  EXPECT_EQ(f.declared(), "4");
}

TEST(topology, gives_every_waiting_row_back_and_knows_nothing_when_the_channel_is_gone) {
  fixture f;
  f.opened();
  f.submit(1, "orders", "k");
  f.declared();
  f.submit(2, "cards", "k");
  f.submit(3, "", "k");
  const auto rows = f.it.abandon();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].id, 2);
  EXPECT_EQ(rows[1].id, 3);
  EXPECT_EQ(f.it.waiting(), 0u);
  EXPECT_EQ(f.submit(4, "", "k"), "4") << "the key does not wait any more";
  EXPECT_EQ(f.submit(5, "orders"), "?orders");
  EXPECT_EQ(f.declared(), "") << "the answer to the question about cards";
  EXPECT_EQ(f.declared(), "5");
}

TEST(topology, starts_anew_on_the_next_connection) {
  fixture f;
  f.opened();
  f.submit(1, "orders");
  f.it.disconnected();
  f.it.abandon();
  EXPECT_EQ(f.submit(2, "orders"), "");
  EXPECT_EQ(f.opened(), "?orders");
  EXPECT_EQ(f.declared(), "2");
}

TEST(topology, an_answer_without_a_question_is_told) {
  topology t;
  topology::steps out;
  EXPECT_FALSE(t.declared(out));
}

TEST(topology, knows_how_long_the_first_row_has_waited) {
  fixture f;
  EXPECT_EQ(f.it.oldest(), std::nullopt);
  f.now += 5s;
  f.submit(1, "orders");
  f.now += 5s;
  f.submit(2, "orders");
  EXPECT_EQ(f.it.oldest(), topology::time_point(5s));
}

}  // namespace
}  // namespace outboxd::relay::amqp
