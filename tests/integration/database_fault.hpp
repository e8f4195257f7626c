// What the suites on failing databases share: a sidecar between a database and a queue "q", and the
// promises, looked at when the fault is over. The test asks the database in sessions of its own, so
// that they may be killed like any other.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/amqp_probe.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/outbox_database.hpp"
#include "tests/support/servers.hpp"
#include "tests/support/sidecar.hpp"
#include "tests/support/tcp_gate.hpp"
#include "tests/support/traffic.hpp"

namespace outboxd::tests {

using namespace std::chrono_literals;

class database_fault : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }

  database_fault() { broker.declare_queue("q"); }

  std::unique_ptr<sidecar> start(const std::string& url, const sidecar::settings& more = {}) {
    return std::make_unique<sidecar>(url, amqp_url, more);
  }
  std::unique_ptr<sidecar> start_ready(const std::string& url, const sidecar::settings& more = {}) {
    auto relay = start(url, more);
    relay->await_ready();
    return relay;
  }

  std::string ask(const std::string& sql) {
    pqxx::connection connection(db.url());
    pqxx::nontransaction tx(connection);
    const auto rows = tx.exec(sql);
    return rows.empty() ? "" : rows[0][0].c_str();
  }
  int number(const std::string& sql) { return std::stoi(ask(sql)); }

  int unsent() { return number("SELECT count(*) FROM outbox.messages WHERE status <> 'sent'"); }

  void insert(int count, const std::string& routing_key = "q", const std::string& key = "") {
    ask("INSERT INTO outbox.messages (routing_key, ordering_key, payload) SELECT '" + routing_key +
        "', nullif('" + key + "', ''), 'n' || n FROM generate_series(1, " + std::to_string(count) +
        ") AS n RETURNING id");
  }

  // The promises, once everything that was committed is sent. Takes what is in the queue; what an
  // earlier call took counts too.
  void expect_everything_delivered(const sidecar& relay, writers* load = nullptr) {
    if (load != nullptr) load->stop();
    ASSERT_TRUE(eventually(60s, [&] { return unsent() == 0; }))
        << unsent() << " rows are stuck\n"
        << relay.get("/readyz?verbose") << relay.log();
    got.take_all(broker, "q");
    EXPECT_THAT(got.two_bodies, testing::IsEmpty());
    EXPECT_TRUE(ids_came_twice || got.out_of_order.empty())
        << testing::PrintToString(got.out_of_order);
    pqxx::connection connection(db.url());
    pqxx::nontransaction tx(connection);
    for (const auto& row : tx.exec("SELECT message_id, payload FROM outbox.messages")) {
      const auto m = got.rows.find(row[0].c_str());
      ASSERT_NE(m, got.rows.end()) << "lost: " << row[1].c_str();
      EXPECT_EQ(m->second.body, row[1].c_str());
    }
    if (load == nullptr) return;
    for (const auto& [id, row] : got.rows)
      EXPECT_EQ(load->rolled_back().count(row.body), 0u) << "rolled back: " << row.body;
  }

  bool ids_came_twice = false;  // then the order of ids says nothing
  deliveries got;
  outbox_database db;
  const std::string amqp_url = shared_rabbitmq().url(shared_rabbitmq().create_vhost());
  amqp_probe broker{amqp_url};
};

}  // namespace outboxd::tests
