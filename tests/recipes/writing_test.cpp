// The snippets of docs/recipes/writing.md, run as they stand by a login that is a writer and no
// more. A language that is not here is skipped; ./dev test recipes brings them all, but for .NET.
#include "tests/recipes/printed_schema.hpp"
#include "tests/recipes/wanted.hpp"

namespace outboxd::tests {
namespace {

const std::string examples = OUTBOXD_SOURCE_DIR "/examples/writing";
const std::string fetched = OUTBOXD_RECIPES;

// An outbox with a table of orders beside it.
struct shop {
  std::string url = shared_postgres().create_database();
  sql_session owner{url};
  database_address login{url};

  shop() {
    run({{OUTBOXD_BINARY, "migrate", "up"}, {{"OUTBOX_DATABASE_URL", url}}});
    login.user = "shop_of_" + login.name;
    login.password = "secret";
    owner.must("CREATE ROLE " + login.user + " LOGIN PASSWORD 'secret' IN ROLE outbox_writer");
    owner.must(
        "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, customer text NOT NULL,"
        " total numeric(10, 2) NOT NULL); GRANT INSERT ON orders TO " +
        login.user);
  }

  // What was committed is there, with the id that the writer was told, and nothing else is.
  void expect_one_order_and_its_message(const std::string& said) {
    EXPECT_EQ(owner.must("SELECT string_agg(customer || ' ' || total, ',') FROM orders"),
              "ada 12.50");
    EXPECT_EQ(owner.must("SELECT count(*) FROM outbox.messages"), "1");
    EXPECT_EQ(said, "published " +
                        owner.must("SELECT id || ' ' || message_id FROM outbox.messages") +
                        "\nrolled back\n");
    EXPECT_EQ(owner.must("SELECT concat_ws(',', '<' || exchange || '>', routing_key, ordering_key,"
                         " type, status) FROM outbox.messages"),
              "<>,orders,customer-ada,order.placed,pending");
    EXPECT_EQ(owner.must("SELECT payload::jsonb = '{\"customer\": \"ada\", \"total\": 12.5}' FROM "
                         "outbox.messages"),
              "t");
  }
};

std::string as_uri(const database_address& login) {
  return login.with_scheme("postgresql");
}

// JDBC takes no user from the place before the host.
std::string as_jdbc(const database_address& login) {
  return login.jdbc() + "?user=" + login.user + "&password=" + login.password;
}

void writes(command snippet, std::string (*url)(const database_address&) = as_uri) {
  shop s;
  snippet.env["DATABASE_URL"] = url(s.login);
  s.expect_one_order_and_its_message(run(snippet));
}

TEST(writing, python) {
  OUTBOXD_SKIP_UNLESS(has_python("psycopg"), "psycopg 3");
  writes({{"/usr/bin/python3", "-B", examples + "/python/write.py"}});
}

TEST(writing, node) {
  const auto modules = fetched + "/node/node_modules";
  OUTBOXD_WANTS(modules);
  writes({{"node", examples + "/node/write.js"}, {{"NODE_PATH", modules}}});
}

TEST(writing, java) {
  const std::string driver = "/usr/share/java/postgresql.jar";
  OUTBOXD_WANTS(driver);
  OUTBOXD_SKIP_UNLESS(works({"javac", "-version"}), "a JDK");
  writes({{"java", "-cp", driver, examples + "/java/Write.java"}}, as_jdbc);
}

TEST(writing, go) {
  const auto program = fetched + "/go/write";
  OUTBOXD_WANTS(program);
  writes({{program}});
}

}  // namespace
}  // namespace outboxd::tests
