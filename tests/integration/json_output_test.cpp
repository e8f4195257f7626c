// `-o json`, of each verb there is: what scripts read from standard output is JSON, whatever became
// of the verb.
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value_to.hpp>

#include <set>

#include "service/cli.hpp"
#include "service/cli_tree.hpp"
#include "tests/integration/database_fault.hpp"
#include "tests/integration/verb.hpp"
#include "tests/support/scratch_directory.hpp"

namespace outboxd::tests {
namespace {

namespace json = boost::json;
using words = std::vector<std::string>;
using settings = std::map<std::string, std::string>;

// What they want besides: an outbox with rows 1 to 3 dead, a process that leads.
const std::map<std::string, words> typed{
    {"migrate", {}},
    {"migrate up", {}},
    {"migrate status", {}},
    {"migrate print", {}},
    {"check", {}},
    {"config", {}},
    {"healthcheck", {}},
    {"status", {}},
    {"dead", {}},
    {"dead list", {}},
    {"dead show", {"3"}},
    {"dead retry", {"--id", "1"}},
    {"dead discard", {"--id", "2"}},
    {"pause", {"--key", "k"}},
    {"resume", {"--key", "k"}},
    {"replay", {"--all"}},
    {"purge", {"--sent-older-than", "1h"}},
    {"version", {}},
};

words line_of(const std::string& verb, const words& more) {
  std::istringstream in(verb);
  words all{std::istream_iterator<std::string>(in), {}};
  all.insert(all.end(), more.begin(), more.end());
  all.insert(all.end(), {"-o", "json"});
  return all;
}

// A value a line; at least one.
std::vector<json::value> values_in(const std::string& out) {
  std::vector<json::value> all;
  std::istringstream in(out);
  for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
  if (all.empty()) throw std::runtime_error("nothing was said");
  return all;
}

bool names_an_error(const json::value& v) {
  return v.is_object() && v.as_object().contains("error");
}

class json_output : public database_fault {
 protected:
  json_output() {
    service::each_verb(service::command_tree(),
                       [&](const std::string& path, const auto&) { verbs.insert(path); });
    verbs.erase("run");
    ask("INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', '1'), ('q', '2'),"
        " ('q', '3') RETURNING id");
    ask("UPDATE outbox.messages SET status = 'dead', last_error = 'nacked: x' RETURNING id");
  }

  std::set<std::string> verbs;
};

TEST_F(json_output, is_json_for_every_verb) {
  const auto relay = start_ready(db.url());
  const settings env{{"OUTBOX_DATABASE_URL", db.url()},
                     {"OUTBOX_AMQP_URL", amqp_url},
                     {"OUTBOX_HTTP_LISTEN", "127.0.0.1:" + std::to_string(relay->port())}};
  for (const auto& verb : verbs) {
    const auto answer = run_verb(line_of(verb, typed.at(verb)), env);
    EXPECT_EQ(answer.code, 0) << verb << ": " << answer.err;
    for (const auto& said : values_in(answer.out)) EXPECT_FALSE(names_an_error(said)) << answer.out;
  }
  const auto health = json::parse(run_verb({"healthcheck", "--ready", "-o", "json"}, env).out);
  EXPECT_EQ(health.at("ok"), true);
  EXPECT_EQ(health.at("checks").at(0).at("name"), "database");
  const auto files = run_verb(
      {"migrate", "print", "--directory", (scratch_directory() / "printed").string(), "-o", "json"},
      env);
  EXPECT_TRUE(json::parse(files.out).at(0).as_object().contains("path")) << files.out;
}

// What needs no server says its result all the same.
TEST_F(json_output, names_the_error_where_a_server_is_missing) {
  const settings nothing_there{{"OUTBOX_DATABASE_URL", "postgresql://127.0.0.1:1/none"},
                               {"OUTBOX_AMQP_URL", "amqp://127.0.0.1:1"},
                               {"OUTBOX_HTTP_LISTEN", "127.0.0.1:1"}};
  const std::set<std::string> alone{"migrate print", "config", "version"};
  for (const auto& verb : verbs) {
    const auto answer = run_verb(line_of(verb, typed.at(verb)), nothing_there);
    const auto said = values_in(answer.out).back();
    EXPECT_EQ(answer.code == 0, alone.contains(verb)) << verb;
    EXPECT_EQ(names_an_error(said), !alone.contains(verb) && verb != "check") << answer.out;
  }
}

TEST_F(json_output, names_the_error_of_a_line_or_a_setting_that_is_wrong) {
  for (const auto& line : {words{"replay", "-o", "json"},
                           {"-o", "json", "purge"},
                           {"dead", "retry", "--output=json"},
                           {"dead", "show", "-o", "json"},
                           {"-o", "json", "fly"},
                           {"-o", "json", "replay", "--since", "soon"}}) {
    const auto answer = run_verb(line, {});
    EXPECT_EQ(answer.code, 64);
    const auto said = values_in(answer.out);
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(answer.err, "outboxd: " + json::value_to<std::string>(said[0].at("error")) + "\n");
  }
  const auto answer =
      run_verb({"pause", "-o", "json"}, {{"OUTBOX_BATCH_SIZE", "0"}, {"OUTBOX_RETENTION", "24"}});
  EXPECT_EQ(answer.code, 78);
  EXPECT_EQ(values_in(answer.out).size(), 2u) << "all that is wrong";
}

}  // namespace
}  // namespace outboxd::tests
