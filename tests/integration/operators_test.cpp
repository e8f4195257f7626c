// People and tools change rows while the relay has them in hand: their word stands, nothing is
// brought back, and nothing else is delayed. A dump that is restored elsewhere goes on there.
#include <csignal>

#include "tests/integration/database_fault.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::tests {
namespace {

class operators_under_load : public database_fault {
 protected:
  std::string status(int id) {
    return ask("SELECT status FROM outbox.messages WHERE id = " + std::to_string(id));
  }

  std::string dump(std::vector<std::string> more = {}) {
    const auto file = (scratch_directory() / "outbox.dump").string();
    more.insert(more.begin(),
                {"pg_dump", "--format=custom", "--file=" + file, "--dbname=" + db.url()});
    run({.argv = more});
    return file;
  }
  // The database made of it.
  static std::string restore(const std::string& file) {
    const auto restored = shared_postgres().create_database();
    run({.argv = {"pg_restore", "--exit-on-error", "--dbname=" + restored, file}});
    return restored;
  }
  static int publish_one_more(const std::string& url) {
    pqxx::connection connection(url);
    pqxx::nontransaction tx(connection);
    return tx
        .exec(
            "INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', 'one more') "
            "RETURNING id")[0][0]
        .as<int>();
  }
  void stop(sidecar& relay) {
    relay.kill(SIGTERM);
    relay.wait(20s);
  }
};

// The relay holds them all, published and not yet confirmed. A confirm is true whatever the plans
// were: row 4.
TEST_F(operators_under_load, what_is_in_flight_obeys_the_table_when_its_confirm_comes) {
  tcp_gate rabbit(shared_rabbitmq().port());
  sidecar relay(db.url(), rabbit.through(amqp_url));
  relay.await_ready();
  rabbit.stall(direction::to_client);
  insert(6);
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 6; })) << relay.log();
  ask("DELETE FROM outbox.messages WHERE id = 1");
  ask("UPDATE outbox.messages SET status = 'dead', due_at = now() WHERE id = 2");
  ask("UPDATE outbox.messages SET status = 'sent', sent_at = now() - interval '1 hour' WHERE id = "
      "3");
  ask("UPDATE outbox.messages SET status = 'deferred', due_at = now() + interval '1 hour' "
      "WHERE id = 4");
  // Another message in the place of the one that is in flight.
  ask("UPDATE outbox.messages SET message_id = gen_random_uuid(), payload = 'another' WHERE id = "
      "5");
  rabbit.pass();
  ASSERT_TRUE(eventually(20s, [&] {
    return status(4) == "sent" && status(6) == "sent" &&
           relay.metric("outbox_unconfirmed_messages") == 0;
  })) << relay.log();
  EXPECT_EQ(status(1), "");
  EXPECT_EQ(status(2), "dead") << "a late confirm brought it back";
  EXPECT_EQ(status(3), "sent");
  EXPECT_EQ(number("SELECT count(*) FROM outbox.messages WHERE id = 3 AND sent_at < now() - "
                   "interval '30 minutes'"),
            1);
  EXPECT_EQ(status(5), "pending") << "the other message was taken for the one before it";
  // It is found by whoever reads from the start: the next leader, or this one some minutes later.
  relay.kill(SIGTERM);
  relay.wait(20s);
  const auto next = start_ready(db.url());
  EXPECT_TRUE(eventually(20s, [&] { return status(5) == "sent"; })) << next->log();
  got.take_all(broker, "q");
  EXPECT_EQ(got.rows.size(), 7u);
  EXPECT_EQ(got.duplicates, 0u);
}

TEST_F(operators_under_load, rows_that_are_removed_or_moved_at_random_stop_nobody) {
  const auto relay = start_ready(db.url());
  writers load(db.url(), 3);
  for (int round = 0; round < 60; ++round) {
    const auto goal = load.committed() + 5;
    ASSERT_TRUE(eventually(20s, [&] { return load.committed() >= goal; }));
    const std::string some =
        "(SELECT id FROM outbox.messages WHERE status = 'pending' ORDER BY id DESC LIMIT 2)";
    switch (round % 4) {
      case 0:
        ask("DELETE FROM outbox.messages WHERE id IN " + some);
        break;
      case 1:
        ask("UPDATE outbox.messages SET status = 'dead', due_at = now() WHERE id IN " + some);
        break;
      case 2:
        ask("SELECT count(outbox.retry(id)) FROM outbox.messages WHERE status = 'dead' AND id % 2 "
            "= 0");
        break;
      case 3:
        ask("SELECT count(outbox.discard(id)) FROM outbox.messages WHERE status = 'dead'");
        break;
    }
  }
  load.stop();
  ask("SELECT count(outbox.discard(id)) FROM outbox.messages WHERE status = 'dead'");
  ASSERT_TRUE(eventually(30s, [&] { return unsent() == 0; })) << relay->log();
  got.take_all(broker, "q");
  EXPECT_THAT(got.two_bodies, testing::IsEmpty());
  // What was retried may come behind later rows of its key, and twice; nothing that is still there
  // is missing.
  pqxx::connection connection(db.url());
  pqxx::nontransaction tx(connection);
  for (const auto& row : tx.exec("SELECT message_id, payload FROM outbox.messages"))
    EXPECT_TRUE(got.rows.contains(row[0].c_str())) << "lost: " << row[1].c_str();
}

// The lead, the epoch, the sequence and the rows come along, the locks and the transaction ids do
// not.
TEST_F(operators_under_load, a_dump_restored_into_a_fresh_database_is_delivered_from_there) {
  {
    const auto relay = start_ready(db.url());
    insert(50, "q", "k");
    ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; }));
    stop(*relay);
  }
  got.take_all(broker, "q");
  insert(100, "q", "k");
  insert(1, "later", "k");
  ask("INSERT INTO outbox.messages (routing_key, payload, not_before) "
      "VALUES ('q', 'scheduled', now() + interval '1 second') RETURNING id");
  const auto restored = restore(dump());

  const auto relay = start_ready(restored);
  pqxx::connection connection(restored);
  pqxx::nontransaction tx(connection);
  tx.exec(
      "INSERT INTO outbox.messages (routing_key, ordering_key, payload) VALUES ('q', 'k', 'new')");
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 101; })) << relay->log();
  broker.declare_queue("later");
  ASSERT_TRUE(eventually(20s, [&] {
    return tx.exec("SELECT count(*) FROM outbox.messages WHERE status <> 'sent'")[0][0].as<int>() ==
           0;
  })) << relay->log();
  got.take_all(broker, "q");
  EXPECT_EQ(got.rows.size(), 50u + 100 + 1 + 1);
  EXPECT_EQ(got.duplicates, 0u);
  EXPECT_THAT(got.out_of_order, testing::IsEmpty());
  EXPECT_EQ(tx.exec("SELECT epoch FROM outbox.lead")[0][0].as<int>(), 2);
}

TEST_F(operators_under_load, what_was_sent_after_a_backup_is_sent_again_and_ids_come_twice) {
  insert(100, "q", "k");
  const auto backup = dump();
  const auto before = start_ready(db.url());
  const int id = publish_one_more(db.url());
  ASSERT_TRUE(eventually(20s, [&] { return unsent() == 0; })) << before->log();
  stop(*before);

  const auto restored = restore(backup);
  EXPECT_EQ(publish_one_more(restored), id);
  const auto relay = start_ready(restored);
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 202; })) << relay->log();
  got.take_all(broker, "q");
  EXPECT_EQ(got.rows.size(), 102u) << "two messages with one id are two messages";
  EXPECT_EQ(got.duplicates, 100u);
  EXPECT_THAT(got.two_bodies, testing::IsEmpty());
  EXPECT_THAT(got.out_of_order, testing::IsEmpty());
}

TEST_F(operators_under_load, a_copy_without_the_messages_is_an_outbox_with_nothing_to_send) {
  insert(100, "q", "k");
  const auto copy = restore(dump({"--exclude-table-data=outbox.messages"}));
  const auto relay = start_ready(copy);
  publish_one_more(copy);
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages > 0; })) << relay->log();
  stop(*relay);
  got.take_all(broker, "q");
  EXPECT_EQ(got.rows.size(), 1u);
}

TEST_F(operators_under_load,
       a_restored_copy_that_was_paused_first_publishes_nothing_until_it_is_resumed) {
  insert(100, "q", "k");
  const auto copy = restore(dump());
  pqxx::connection connection(copy);
  pqxx::nontransaction tx(connection);
  tx.exec("SELECT outbox.pause(reason => 'restored')");
  const auto relay = start_ready(copy);
  // It leads, knows of the pause, and has counted what waits.
  ASSERT_TRUE(eventually(60s, [&] {
    return relay->metric("outbox_paused") == 1 && relay->metric("outbox_pending_messages") == 100;
  })) << relay->log();
  EXPECT_EQ(relay->metric("outbox_messages_published_total"), 0);
  EXPECT_EQ(broker.queue("q")->messages, 0u);
  tx.exec("SELECT outbox.resume()");
  ASSERT_TRUE(eventually(20s, [&] { return broker.queue("q")->messages == 100; })) << relay->log();
}

}  // namespace
}  // namespace outboxd::tests
