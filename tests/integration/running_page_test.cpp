// What docs/operations/running.md tells an operator to type, typed as it stands there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>

#include "tests/support/broker_world.hpp"

namespace outboxd::tests {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

std::string page() {
  std::ifstream in(OUTBOXD_SOURCE_DIR "/docs/operations/running.md");
  if (!in) throw std::runtime_error("there is no such page");
  return {std::istreambuf_iterator<char>(in), {}};
}

// What the first group of the pattern matches below that heading, in the order of the page.
std::vector<std::string> quoted_in(const std::string& heading, const std::string& pattern) {
  const std::string all = page();
  const auto begin = all.find("\n## " + heading + "\n");
  if (begin == all.npos) throw std::runtime_error("no heading " + heading);
  const std::string section = all.substr(begin, all.find("\n## ", begin + 1) - begin);
  const std::regex expression(pattern);
  return {std::sregex_token_iterator(section.begin(), section.end(), expression, 1), {}};
}

class running_page : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_shared_servers(); }
};

class where_is_my_message : public running_page {
 protected:
  // Row 17 of the page, with six before it of its key.
  where_is_my_message() {
    EXPECT_THAT(queries, SizeIs(2));
    db.run(
        "INSERT INTO \"outbox\".messages (routing_key, ordering_key, payload) "
        "SELECT 'q', CASE WHEN n IN (3, 18) OR n BETWEEN 6 AND 16 THEN 'order-8' ELSE 'order-7' "
        "END, 'x' FROM generate_series(1, 18) AS n ORDER BY n");
    change(1, "status = 'sent', sent_at = now()");
    change(2, "status = 'deferred', attempts = 3, due_at = now(), last_error = 'returned'");
    change(4, "status = 'deferred', due_at = now() + interval '1 hour'");
    change(5, "status = 'dead', last_error = 'too_large'");
    change(10, "ordering_key = 'order-7'");
    db.run(
        "INSERT INTO \"outbox\".messages (routing_key, payload) SELECT 'q', 'x' "
        "FROM generate_series(1, 30000)");
    db.run("UPDATE \"outbox\".messages SET status = 'sent', sent_at = now() WHERE id > 18");
    db.run("ANALYZE \"outbox\".messages");
  }

  void change(int id, const std::string& to) {
    db.run("UPDATE \"outbox\".messages SET " + to + " WHERE id = " + std::to_string(id));
  }
  // The first column, by a login that may look and no more.
  std::vector<std::string> answer(const std::string& query) {
    db.run("SET ROLE outbox_reader");
    std::vector<std::string> all;
    const auto answered = db.run(query);
    for (const auto& row : answered) all.emplace_back(row[0].c_str());
    db.run("RESET ROLE");
    return all;
  }
  std::string plan(const std::string& query) {
    std::string all;
    for (const auto& line : answer("EXPLAIN " + query)) all += line + "\n";
    return all;
  }

  outbox_database db;
  const std::vector<std::string> queries =
      quoted_in("Where is my message?", "```sql\n([^;]*);\n```");
};

TEST_F(where_is_my_message, its_row_is_found) {
  EXPECT_THAT(answer(queries.at(0)), ElementsAre("17"));
  EXPECT_THAT(plan(queries[0]), Not(HasSubstr("Seq Scan")));
  EXPECT_THAT(plan("SELECT id FROM \"outbox\".messages WHERE message_id = gen_random_uuid()"),
              HasSubstr("Seq Scan"))
      << "the page says that this reads all of it";
}

TEST_F(where_is_my_message, so_are_those_before_it_that_its_key_may_wait_for) {
  EXPECT_THAT(answer(queries.at(1)), ElementsAre("2", "5", "10"));
  EXPECT_THAT(plan(queries[1]), Not(HasSubstr("Seq Scan")));
}

// The words of a line, as a shell understands them.
std::vector<std::string> words_of(const std::string& line) {
  child_process shell({{"bash", "-c", "rabbitmqctl() { printf '%s\\n' \"$@\"; }; " + line}});
  if (shell.wait(20s) != exit_status{}) throw std::runtime_error(shell.err());
  const std::string out = shell.out();
  const std::regex one("([^\n]*)\n");
  return {std::sregex_token_iterator(out.begin(), out.end(), one, 1), {}};
}

class broker_user : public running_page, public broker_world {};

TEST_F(broker_user, may_write_where_the_page_says_and_nowhere_else) {
  const auto lines = quoted_in("Broker user", "\n    (rabbitmqctl [^\n]*)");
  ASSERT_THAT(lines, SizeIs(2));
  for (const auto& line : lines) {
    auto words = words_of(line);
    std::ranges::replace(words, "/", vhost);
    shared_rabbitmq().ctl(words);
  }
  broker.declare_exchange("events", "topic");
  broker.declare_exchange("others", "topic");
  broker.bind("q", "events", "#");
  broker.declare_queue("nothing");
  broker.bind("nothing", "others", "#");
  insert(1);
  insert(1, {.exchange = "'events'"});
  insert(1, {.exchange = "'others'"});
  relay = std::make_unique<sidecar>(
      db.url(), "amqp://shop_outboxd:new-password" + amqp_url.substr(amqp_url.find('@')));
  relay->await_ready();
  EXPECT_TRUE(eventually(30s, [&] { return any("id = 3 AND attempts > 0"); })) << relay->log();
  EXPECT_THAT(db.value("SELECT last_error FROM \"outbox\".messages WHERE id = 3"),
              HasSubstr("forbidden: 403 ACCESS_REFUSED"));
  EXPECT_TRUE(eventually(30s, [&] { return count("status = 'sent'") == 2; })) << relay->log();
  EXPECT_GE(depth("q"), 2u) << "a neighbour of the refused one may be there twice";
  EXPECT_EQ(depth("nothing"), 0u);
}

}  // namespace
}  // namespace outboxd::tests
