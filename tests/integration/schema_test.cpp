// What the table accepts and refuses, and what its functions do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "tests/integration/migrated_database.hpp"
#include "tests/support/eventually.hpp"

using namespace outboxd;
using namespace outboxd::tests;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Optional;

namespace {

struct schema : testing::Test {
  migrated_database database;
  sql_session owner = database.owner();
  sql_session writer = database.writer();

  std::string column(const std::string& name, const std::string& id) {
    return owner.must("SELECT " + name + " FROM outbox.messages WHERE id = " + id);
  }
};

struct bad_row {
  std::string columns, values, constraint;
};

// 'é' has two bytes: 128 of them are few enough characters and too many bytes.
const std::vector<bad_row> bad_rows = {
    {"payload, exchange", "'x', repeat('e', 256)", "messages_exchange_at_most_255_bytes"},
    {"payload, exchange", "'x', repeat('é', 128)", "messages_exchange_at_most_255_bytes"},
    {"payload, routing_key", "'x', repeat('é', 128)", "messages_routing_key_at_most_255_bytes"},
    {"payload, ordering_key", "'x', repeat('é', 128)", "messages_ordering_key_at_most_255_bytes"},
    {"payload, content_type", "'x', repeat('é', 128)", "messages_content_type_at_most_255_bytes"},
    {"payload, content_encoding", "'x', repeat('é', 128)",
     "messages_content_encoding_at_most_255_bytes"},
    {"payload, type", "'x', repeat('é', 128)", "messages_type_at_most_255_bytes"},
    {"payload, correlation_id", "'x', repeat('é', 128)",
     "messages_correlation_id_at_most_255_bytes"},
    {"payload, reply_to", "'x', repeat('é', 128)", "messages_reply_to_at_most_255_bytes"},
    {"payload, app_id", "'x', repeat('é', 128)", "messages_app_id_at_most_255_bytes"},
    {"payload, payload_bytes", "'x', 'x'", "messages_exactly_one_of_payload_and_payload_bytes"},
    {"routing_key", "'q'", "messages_exactly_one_of_payload_and_payload_bytes"},
    {"payload, priority", "'x', -1", "messages_priority_from_0_to_255"},
    {"payload, priority", "'x', 256", "messages_priority_from_0_to_255"},
    {"payload, expiration_ms", "'x', -1", "messages_expiration_ms_from_0_to_315360000000"},
    {"payload, expiration_ms", "'x', 315360000001",
     "messages_expiration_ms_from_0_to_315360000000"},
    {"payload, headers", "'x', '[1]'", "messages_headers_are_an_object"},
    {"payload, headers", "'x', '\"text\"'", "messages_headers_are_an_object"},
    {"payload, headers", "'x', 'null'", "messages_headers_are_an_object"},
    {"payload, headers", "'x', jsonb_build_object('a', repeat('x', 65536))",
     "messages_headers_at_most_64_kb"},
    {"payload, headers", "'x', jsonb_build_object(repeat('é', 128), 1)",
     "messages_header_names_at_most_255_bytes"},
    {"payload, headers",
     "'x', jsonb_build_object('a', jsonb_build_array(1, jsonb_build_object(repeat('e', 256), 1)))",
     "messages_header_names_at_most_255_bytes"},
    {"payload, headers", R"('x', '{"a": 1, "x-outbox-id": 1}')",
     "messages_header_names_do_not_begin_with_x_outbox"},
    {"payload, headers", R"('x', '{"x-delay": 1000}')",
     "messages_with_header_x_delay_are_not_mandatory"},
    {"payload, not_before", "'x', 'infinity'", "messages_not_before_is_finite"},
    {"payload, not_before", "'x', '-infinity'", "messages_not_before_is_finite"},
};

TEST_F(schema, every_kind_of_bad_row_is_refused_by_the_constraint_that_says_why) {
  for (const auto& bad : bad_rows) {
    const auto answer =
        writer.run("INSERT INTO outbox.messages (" + bad.columns + ") VALUES (" + bad.values + ")");
    EXPECT_EQ(answer.sqlstate, "23514") << bad.columns << " = " << bad.values;
    EXPECT_EQ(answer.constraint, bad.constraint) << bad.columns << " = " << bad.values;
  }
  EXPECT_EQ(owner.must("SELECT count(*) FROM outbox.messages"), "0");
}

TEST_F(schema, a_null_where_none_is_allowed_is_refused) {
  for (const std::string name : {"exchange", "routing_key", "mandatory", "message_id"}) {
    const auto answer =
        writer.run("INSERT INTO outbox.messages (payload, " + name + ") VALUES ('x', NULL)");
    EXPECT_EQ(answer.sqlstate, "23502") << name;
    EXPECT_THAT(answer.message, testing::HasSubstr("\"" + name + "\""));
  }
}

TEST_F(schema, everything_up_to_the_limits_is_accepted) {
  const auto answer = writer.run(R"(
      INSERT INTO outbox.messages
        (exchange, routing_key, ordering_key, payload_bytes, content_type, content_encoding, type,
         correlation_id, reply_to, app_id, priority, expiration_ms, headers, mandatory, not_before)
      SELECT s, s, s, '', s, s, s, s, s, s, p, e,
             jsonb_build_object(s, 1, 'x-other', NULL, 'a', jsonb_build_array(jsonb_build_object(s, '{}')),
                                'nested', '{"x-outbox-": "only the top level meets ours"}'::jsonb,
                                'x-delay', 1000, 'b', repeat('x', 64000)),
             false, t
      FROM (VALUES (repeat('é', 127) || 'e', 0, 0, '2000-01-01'::timestamptz),
                   (repeat('e', 255), 255, 315360000000, NULL)) AS v (s, p, e, t))");
  EXPECT_TRUE(answer.ok()) << answer.message;
}

TEST_F(schema, a_row_needs_no_more_than_a_body) {
  const auto id = writer.must("INSERT INTO outbox.messages (payload) VALUES ('{}') RETURNING id");
  EXPECT_EQ(column("status || attempts || exchange || routing_key", id), "pending0");
  EXPECT_EQ(
      column("mandatory AND due_at IS NULL AND failing_since IS NULL AND sent_at IS NULL", id),
      "t");
  EXPECT_EQ(column("created_at BETWEEN now() - interval '1 min' AND now()", id), "t");
}

TEST_F(schema, bodies_come_back_byte_for_byte) {
  const auto text = writer.must(
      "INSERT INTO outbox.messages (payload) VALUES (E'  {\"a\" : 1}\\n\\té') RETURNING id");
  const auto bytes = writer.must(
      "INSERT INTO outbox.messages (payload_bytes) VALUES ('\\x00ff0a5c') RETURNING id");
  EXPECT_EQ(column("payload", text), "  {\"a\" : 1}\n\té");
  EXPECT_EQ(column("payload_bytes", bytes), "\\x00ff0a5c");
}

TEST_F(schema, many_rows_and_copy_draw_their_ids_in_order) {
  ASSERT_TRUE(writer.run("INSERT INTO outbox.messages (payload) VALUES ('1'), ('2'), ('3')").ok());
  ASSERT_TRUE(writer
                  .copy_in("COPY outbox.messages (routing_key, payload, headers) FROM STDIN",
                           "q\t4\t\\N\nq\t5\t{\"a\": 1}\n")
                  .ok());
  const auto rows = owner.run("SELECT payload FROM outbox.messages ORDER BY id").rows;
  ASSERT_EQ(rows.size(), 5U);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_THAT(rows[i], ElementsAre(Optional(std::to_string(i + 1))));
  }
}

TEST_F(schema, copy_refuses_a_bad_row_with_the_constraint_that_says_why) {
  const auto answer =
      writer.copy_in("COPY outbox.messages (payload, priority) FROM STDIN", "a\t1\nb\t999\n");
  EXPECT_EQ(answer.constraint, "messages_priority_from_0_to_255");
}

// All texts are measured at once, most rows being far from any limit.
TEST_F(schema, texts_that_are_long_only_together_are_accepted) {
  const auto answer = writer.run(R"(
      INSERT INTO outbox.messages (payload, exchange, routing_key, ordering_key, type)
      VALUES ('x', repeat('e', 100), repeat('e', 100), repeat('e', 100), repeat('e', 100)))");
  EXPECT_TRUE(answer.ok()) << answer.message;
}

TEST_F(schema, a_long_text_is_refused_however_little_room_it_takes) {
  owner.must("CREATE TABLE public.compressed AS SELECT repeat('x', 3000) AS text");
  owner.must(
      "CREATE TABLE public.elsewhere AS SELECT string_agg(md5(n::text), '') AS text"
      " FROM generate_series(1, 1000) AS n");
  for (const std::string table : {"compressed", "elsewhere"}) {
    const auto answer = owner.run(
        "INSERT INTO outbox.messages (payload, routing_key) SELECT 'x', text FROM public." + table);
    EXPECT_EQ(answer.constraint, "messages_routing_key_at_most_255_bytes") << table;
  }
}

// The relay stops waiting for a skipped id once every transaction has ended that ran when it saw
// the gap. So at the moment an id is drawn its transaction must be known as running: it has a
// transaction id. The body is computed after the id, columns being filled from left to right.
TEST_F(schema, an_id_is_drawn_only_by_a_transaction_that_has_a_transaction_id) {
  owner.must(
      "CREATE FUNCTION public.my_xid() RETURNS text LANGUAGE sql VOLATILE AS"
      " $$ SELECT coalesce(pg_current_xact_id_if_assigned()::text, 'none') $$");
  const auto ids_without_xid = [&] {
    owner.must("TRUNCATE outbox.messages");
    // A sequence writes WAL, and so takes a transaction id, at every 32nd draw only.
    for (int i = 0; i < 4; ++i) {
      owner.must("INSERT INTO outbox.messages (payload) VALUES (public.my_xid())");
    }
    return std::stoi(owner.must("SELECT count(*) FROM outbox.messages WHERE payload = 'none'"));
  };
  EXPECT_EQ(ids_without_xid(), 0);

  owner.must("ALTER TABLE outbox.messages ALTER id SET DEFAULT nextval('outbox.messages_id_seq')");
  EXPECT_GT(ids_without_xid(), 0) << "an ordinary default passes too: this test proves nothing";
}

TEST_F(schema, a_row_for_later_is_deferred_until_then_and_a_row_for_earlier_is_not) {
  const auto later = writer.must(
      "INSERT INTO outbox.messages (payload, not_before) VALUES ('x', now() + interval '1 hour')"
      " RETURNING id");
  const auto earlier = writer.must(
      "INSERT INTO outbox.messages (payload, not_before) VALUES ('x', now() - interval '1 s')"
      " RETURNING id");
  EXPECT_EQ(column("status || attempts", later), "deferred0");
  EXPECT_EQ(column("due_at = not_before", later), "t");
  EXPECT_EQ(column("status", earlier), "pending");
  EXPECT_EQ(column("due_at", earlier), "null");
}

TEST_F(schema, rows_for_later_may_come_by_copy_too) {
  ASSERT_TRUE(writer
                  .copy_in("COPY outbox.messages (payload, not_before) FROM STDIN",
                           "x\t2999-01-01 00:00:00+00\n")
                  .ok());
  EXPECT_EQ(owner.must("SELECT status FROM outbox.messages"), "deferred");
}

TEST_F(schema, publish_takes_text_json_and_bytes) {
  const auto literal = writer.must(R"(SELECT outbox.publish('ex', 'rk', '{"a":1}'))");
  const auto text = writer.must("SELECT outbox.publish('ex', 'rk', 'x'::varchar)");
  const auto json = writer.must(R"(SELECT outbox.publish('ex', 'rk', '{"a":1}'::jsonb))");
  const auto bytes = writer.must("SELECT outbox.publish('ex', 'rk', '\\x00ff'::bytea)");
  EXPECT_EQ(column("payload", literal), R"({"a":1})");
  EXPECT_EQ(column("payload", text), "x");
  EXPECT_EQ(column("payload", json), R"({"a": 1})");
  EXPECT_EQ(column("payload_bytes", bytes), "\\x00ff");
  EXPECT_EQ(column("exchange || '/' || routing_key", bytes), "ex/rk");
}

TEST_F(schema, publish_takes_an_untyped_parameter_for_text) {
  writer.must(
      "PREPARE send AS SELECT outbox.publish($1, $2, $3, ordering_key => $4, headers => $5)");
  const auto id = writer.must(R"(EXECUTE send ('ex', 'rk', '{"a":1}', 'k', '{"h": 1}'))");
  EXPECT_EQ(column("payload || ordering_key || headers", id), R"({"a":1}k{"h": 1})");
}

TEST_F(schema, publish_writes_every_column_by_name) {
  for (const std::string body : {"'b'::text", "'{}'::jsonb", "'b'::bytea"}) {
    const auto id = writer.must("SELECT outbox.publish('ex', 'rk', " + body + R"(,
        app_id => 'app', content_encoding => 'gzip', content_type => 'text/plain',
        correlation_id => 'c', expiration_ms => 5, headers => '{"h": [1]}', mandatory => false,
        message_id => '11111111-2222-3333-4444-555555555555',
        not_before => '2999-01-01 00:00+00', ordering_key => 'k', priority => 7, reply_to => 'r',
        type => 't', serialize => true))");
    EXPECT_EQ(
        column("concat_ws(',', app_id, content_encoding, content_type, correlation_id,"
               " expiration_ms, headers, mandatory, message_id, due_at, ordering_key, priority,"
               " reply_to, type, status)",
               id),
        R"(app,gzip,text/plain,c,5,{"h": [1]},f,11111111-2222-3333-4444-555555555555,)"
        "2999-01-01 00:00:00+00,k,7,r,t,deferred")
        << body;
  }
}

TEST_F(schema, publish_refuses_what_the_table_refuses) {
  EXPECT_EQ(writer.run("SELECT outbox.publish('', 'q', NULL)").constraint,
            "messages_exactly_one_of_payload_and_payload_bytes");
  EXPECT_EQ(writer.run("SELECT outbox.publish('', 'q', 'x', priority => 256)").constraint,
            "messages_priority_from_0_to_255");
  EXPECT_EQ(writer.run("SELECT outbox.publish('', 'q', 'x', serialize => true)").sqlstate, "22023");
}

TEST_F(schema, serialized_writers_of_one_key_commit_in_the_order_of_their_ids) {
  auto second = database.writer();
  const auto second_pid = second.must("SELECT pg_backend_pid()");
  writer.must("BEGIN");
  const auto first_id =
      writer.must("SELECT outbox.publish('', 'q', '1', ordering_key => 'k', serialize => true)");

  auto waiting = std::async(std::launch::async, [&] {
    return second.must(
        "SELECT outbox.publish('', 'q', '2'::jsonb, ordering_key => 'k', serialize => true)");
  });
  EXPECT_TRUE(eventually(30s, [&] {
    return owner.must(
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
               " AND pid = " +
               second_pid) == "1";
  }));
  // Had the second one drawn its id already, this one would be higher.
  const auto third_id = writer.must("SELECT outbox.publish('', 'q', '3')");
  writer.must("COMMIT");
  EXPECT_LT(std::stol(first_id), std::stol(third_id));
  EXPECT_LT(std::stol(third_id), std::stol(waiting.get()));
}

TEST_F(schema, serialized_writers_of_different_keys_do_not_wait) {
  auto second = database.writer();
  writer.must("BEGIN; SELECT outbox.lock_key('a')");
  second.must("SET lock_timeout = '10s'");
  EXPECT_TRUE(
      second.run("SELECT outbox.publish('', 'q', 'x', ordering_key => 'b', serialize => true)")
          .ok());
}

struct operators : schema {
  sql_session operator_ = database.as("outbox_operator");

  std::string insert_dead() {
    return owner.must(
        "INSERT INTO outbox.messages (payload, status, attempts, failing_since, last_error)"
        " VALUES ('x', 'dead', 12, now(), 'returned: 312 NO_ROUTE') RETURNING id");
  }
};

TEST_F(operators, retry_makes_a_dead_row_due_now_with_a_clean_sheet) {
  const auto id = insert_dead();
  EXPECT_EQ(operator_.must("SELECT outbox.retry(" + id + ")"), "t");
  EXPECT_EQ(column("status || attempts || last_error", id), "deferred0returned: 312 NO_ROUTE");
  EXPECT_EQ(column("due_at <= clock_timestamp() AND failing_since IS NULL", id), "t");
  EXPECT_EQ(operator_.must("SELECT outbox.retry(" + id + ")"), "f");
}

TEST_F(operators, discard_deletes_a_dead_row) {
  const auto id = insert_dead();
  EXPECT_EQ(operator_.must("SELECT outbox.discard(" + id + ")"), "t");
  EXPECT_EQ(operator_.must("SELECT outbox.discard(" + id + ")"), "f");
  EXPECT_EQ(owner.must("SELECT count(*) FROM outbox.messages"), "0");
}

TEST_F(operators, rows_that_are_not_dead_are_left_alone) {
  owner.must(
      "INSERT INTO outbox.messages (id, payload, status, due_at, sent_at) VALUES"
      " (1, 'x', 'pending', NULL, NULL), (2, 'x', 'deferred', '2999-01-01', NULL),"
      " (3, 'x', 'sent', NULL, now())");
  for (const std::string id : {"1", "2", "3"}) {
    EXPECT_EQ(operator_.must("SELECT outbox.retry(" + id + ")"), "f");
    EXPECT_EQ(operator_.must("SELECT outbox.discard(" + id + ")"), "f");
  }
  EXPECT_EQ(owner.must("SELECT string_agg(status, ',' ORDER BY id) FROM outbox.messages"),
            "pending,deferred,sent");
}

TEST_F(operators, another_message_id_guards_a_row_whose_id_was_handed_out_again) {
  const auto id = insert_dead();
  const std::string other = ", '11111111-2222-3333-4444-555555555555')";
  EXPECT_EQ(operator_.must("SELECT outbox.retry(" + id + other), "f");
  EXPECT_EQ(operator_.must("SELECT outbox.discard(" + id + other), "f");
  EXPECT_EQ(operator_.must("SELECT outbox.discard(" + id + ", '" + column("message_id", id) + "')"),
            "t");
}

TEST_F(schema, the_relay_cannot_leave_a_row_where_nobody_finds_it) {
  auto relay = database.as("outbox_relay");
  writer.must("INSERT INTO outbox.messages (payload) VALUES ('x')");
  const auto set = [&](const std::string& what) {
    return relay.run("UPDATE outbox.messages SET " + what).constraint;
  };
  EXPECT_EQ(set("status = 'done'"), "messages_status_is_known_and_has_its_time");
  EXPECT_EQ(set("status = 'deferred'"), "messages_status_is_known_and_has_its_time");
  EXPECT_EQ(set("status = 'sent'"), "messages_status_is_known_and_has_its_time");
}

TEST_F(schema, a_row_cannot_come_in_where_nobody_finds_it) {
  for (const std::string status : {"done", "deferred", "sent"}) {
    const auto answer =
        owner.run("INSERT INTO outbox.messages (payload, status) VALUES ('x', '" + status + "')");
    EXPECT_EQ(answer.constraint, "messages_status_is_known_and_has_its_time") << status;
  }
}

TEST_F(schema, no_update_leaves_a_row_without_a_body_or_with_two) {
  owner.must("INSERT INTO outbox.messages (payload) VALUES ('x')");
  for (const std::string change : {"payload = NULL", "payload_bytes = 'x'"}) {
    const auto answer = owner.run("UPDATE outbox.messages SET " + change);
    EXPECT_EQ(answer.sqlstate, "23514") << change;
    EXPECT_EQ(answer.constraint, "messages_exactly_one_of_payload_and_payload_bytes") << change;
  }
  EXPECT_TRUE(owner.run("UPDATE outbox.messages SET payload = NULL, payload_bytes = 'x'").ok());
}

TEST_F(schema, everything_a_person_can_look_up_has_a_comment) {
  EXPECT_EQ(owner.must(R"(
      SELECT string_agg(what, ', ') FROM (
        SELECT c.relname || coalesce('.' || a.attname, '') AS what, d.description
        FROM pg_class c
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND c.relkind = 'r'
        LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = coalesce(a.attnum, 0)
                                  AND d.classoid = 'pg_class'::regclass
        WHERE c.relnamespace = 'outbox'::regnamespace AND (c.relkind IN ('r', 'S') OR c.relname LIKE 'messages%')
        UNION ALL
        SELECT c.relname, obj_description(c.oid, 'pg_class')
        FROM pg_class c WHERE c.relnamespace = 'outbox'::regnamespace AND c.relkind = 'r'
        UNION ALL
        SELECT p.oid::regprocedure::text, obj_description(p.oid, 'pg_proc')
        FROM pg_proc p WHERE p.pronamespace = 'outbox'::regnamespace
        UNION ALL
        SELECT t.tgname, obj_description(t.oid, 'pg_trigger')
        FROM pg_trigger t WHERE t.tgrelid = 'outbox.messages'::regclass AND NOT t.tgisinternal
      ) AS everything WHERE description IS NULL)"),
            "null");
}

}  // namespace
