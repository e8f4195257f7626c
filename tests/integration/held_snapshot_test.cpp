// What the store does beside a snapshot that is held for long, as by pg_dump: what was sent since
// stays in the indexes.
#include "outbox/reader.hpp"
#include "tests/integration/pg_store_fixture.hpp"

namespace outboxd::tests {
namespace {

class held_snapshot : public pg_store_test {};

// Half a million rows that were sent, whose entries in the index a snapshot keeps, as during a long
// pg_dump. To read from the start takes longer than a statement may.
TEST_F(held_snapshot, what_one_statement_does_not_get_past_is_passed_in_slices) {
  const old_snapshot snapshot(db_);
  insert_rows(500'000);
  db_.run("UPDATE \"outbox\".messages SET status = 'sent', sent_at = now()");
  const auto waiting = insert(text_row("waiting"));

  const auto s = store("", false, 35s, 25ms);
  outbox::reader reader;
  std::int64_t span = 1'000'000;
  std::vector<std::int64_t> found;
  int cancelled = 0, answered = 0;
  for (bool all = false; !all && cancelled + answered < 1000;) {
    auto request = everything();
    reader.ask(request, 0, span);
    const auto answer = read(*s, request);
    if (answer.has_error()) {
      ASSERT_EQ(answer.error().kind, failure_kind::cancelled) << answer.error().text;
      ++cancelled;
      reader.be_careful();
      span = std::max<std::int64_t>(1, span / 2);
      continue;
    }
    ++answered;
    for (const auto id : ids(answer->rows)) found.push_back(id);
    reader.answered(request, *answer, answer->rows.size());
    all = !answer->up_to;
  }
  EXPECT_EQ(found, std::vector{waiting.id});
  EXPECT_GE(cancelled, 1) << "one statement gets past all of them";
  EXPECT_GE(answered, 2);
  EXPECT_EQ(reconnects, 0);
}

// Counted by the server: the entries of the index that were visited. A session tells at its end.
TEST_F(held_snapshot, a_look_for_old_rows_does_not_walk_over_those_that_were_purged) {
  insert_rows(5'000);
  db_.run(
      "UPDATE \"outbox\".messages SET status = 'sent', sent_at = now() - interval '2 hours', "
      "created_at = now() - interval '2 hours'");
  insert(text_row("stays"));
  const old_snapshot snapshot(db_);

  const auto s = store();
  s->rest(true);
  const auto purge = [&] {
    const auto purged =
        answer_of<std::size_t>([&](auto done) { s->purge(1h, 1h, 1000, done); }).value();
    EXPECT_TRUE(run_until(context_, 30s, [&] {
      return db_.value(
                 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outboxd'") == "0";
    }));
    return purged;
  };
  std::size_t purged = 0;
  while (const auto more = purge()) purged += more;
  EXPECT_EQ(purged, 5000u);
  const auto visited = [&] {
    return std::stoll(db_.value(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'messages_pkey'"));
  };
  const auto before = visited();
  EXPECT_EQ(purge(), 0u);
  EXPECT_LT(visited() - before, 10);
}

}  // namespace
}  // namespace outboxd::tests
