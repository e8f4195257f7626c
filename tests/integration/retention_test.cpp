// The leader deletes what is old: in small batches, beside the traffic, and nothing that still
// means something.
#include <set>

#include "tests/integration/database_fault.hpp"

namespace outboxd::tests {
namespace {

class retention : public database_fault {
 protected:
  // Statements of the relay that deleted rows, by how many; written by a trigger of the test.
  void watch_deletes() {
    ask("CREATE TABLE public.deleted (rows bigint)");
    ask("CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ "
        "BEGIN"
        " INSERT INTO public.deleted SELECT count(*) FROM gone; RETURN NULL; END $$");
    ask("CREATE TRIGGER note AFTER DELETE ON outbox.messages REFERENCING OLD TABLE AS gone"
        " FOR EACH STATEMENT EXECUTE FUNCTION public.note()");
  }

  void insert_dead(int count, const std::string& key) {
    insert(count, "dead", key);
    ask("UPDATE outbox.messages SET status = 'dead', due_at = now() - interval '40 days',"
        " created_at = now() - interval '40 days' WHERE status = 'pending' RETURNING id");
  }
};

TEST_F(retention, sent_and_dead_rows_go_in_small_batches_while_others_come) {
  watch_deletes();
  insert_dead(50, "");
  insert_dead(30, "k");
  const auto relay =
      start_ready(db.url(), {{"OUTBOX_RETENTION", "1s"}, {"OUTBOX_ON_DEAD", "block"}});
  std::set<std::string> ids;
  std::size_t arrived = 0;
  for (int wave = 0; wave < 10; ++wave) {
    insert(1'500);
    ASSERT_TRUE(eventually(60s, [&] {
      while (const auto m = broker.get("q")) {
        ids.insert(m->properties.message_id.value());
        ++arrived;
      }
      return ids.size() >= 1'500u * static_cast<std::size_t>(wave + 1);
    })) << relay->log();
  }
  ASSERT_TRUE(eventually(90s, [&] { return number("SELECT count(*) FROM outbox.messages") == 30; }))
      << ask("SELECT count(*) FROM outbox.messages") << relay->log();
  EXPECT_EQ(
      number("SELECT count(*) FROM outbox.messages WHERE status = 'dead' AND ordering_key = 'k'"),
      30)
      << "they hold their key";
  EXPECT_EQ(arrived, 15'000u);
  EXPECT_EQ(relay->metric("outbox_messages_purged_total"), 15'000 + 50);
  EXPECT_LE(number("SELECT max(rows) FROM public.deleted"), 1'000);
  EXPECT_EQ(number("SELECT sum(rows) FROM public.deleted"), 15'050);
}

}  // namespace
}  // namespace outboxd::tests
