// The schema as the files of other migration tools.
#include "outbox/migration_print.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

using namespace outboxd;
using outbox::print_options;
using outbox::print_roles;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

namespace {

const std::vector<migrations::migration> two = {
    {1, "first", "CREATE FUNCTION \"outbox\".f() AS $$ a; b; $$;\n", "DROP FUNCTION f();\n"},
    {2, "second", "ALTER TABLE t;\n", "-- back\n\nALTER TABLE t;\n"}};

print_options of(const std::string& format) {
  print_options o;
  o.format = format;
  if (outbox::is_numbered(format)) o.number = "0099";
  return o;
}

std::vector<outbox::printed_file> printed(const print_options& o,
                                          outbox::migration_files files = two) {
  return outbox::print(o, files).value();
}

std::vector<std::string> names(const print_options& o) {
  std::vector<std::string> all;
  for (const auto& file : printed(o)) all.push_back(file.name);
  return all;
}

TEST(migration_print, names_files_as_the_tool_does) {
  EXPECT_THAT(names(of("sql")), ElementsAre("outboxd_schema.sql"));
  EXPECT_THAT(names(of("flyway")),
              ElementsAre("V0099__outboxd_0001_first.sql", "V0100__outboxd_0002_second.sql"));
  EXPECT_THAT(names(of("liquibase")),
              ElementsAre("outboxd_0001_first.sql", "outboxd_0002_second.sql"));
  EXPECT_THAT(names(of("dbmate")),
              ElementsAre("0099_outboxd_0001_first.sql", "0100_outboxd_0002_second.sql"));
  EXPECT_THAT(names(of("golang-migrate")),
              ElementsAre("0099_outboxd_0001_first.up.sql", "0099_outboxd_0001_first.down.sql",
                          "0100_outboxd_0002_second.up.sql", "0100_outboxd_0002_second.down.sql"));
  EXPECT_THAT(names(of("alembic")), ElementsAre("outboxd_0001_first.py", "outboxd_0002_second.py"));
  EXPECT_THAT(names(of("ef")), ElementsAre("Outboxd0001FirstSql.cs", "Outboxd0002SecondSql.cs"));
  EXPECT_THAT(names(of("rails")),
              ElementsAre("0099_outboxd_0001_first.rb", "0100_outboxd_0002_second.rb"));
}

TEST(migration_print, every_format_records_the_version_and_ends_with_the_grants) {
  for (const auto& format : outbox::print_formats()) {
    std::string all;
    for (const auto& file : printed(of(format))) all += file.text;
    for (const auto& m : two)
      EXPECT_THAT(all, HasSubstr("'" + migrations::checksum(m) + "'")) << format;
    EXPECT_GT(all.find("GRANT"), all.find(migrations::checksum(two[1]))) << format;
  }
}

TEST(migration_print, the_way_back_forgets_the_version_first) {
  for (const std::string format :
       {"liquibase", "dbmate", "golang-migrate", "alembic", "ef", "rails"}) {
    const auto text = printed(of(format)).back().text;
    const auto forgotten = text.find("DELETE FROM \"outbox\".schema_version WHERE version = 2");
    ASSERT_NE(forgotten, std::string::npos) << format;
    EXPECT_GT(text.find("-- back", forgotten), forgotten) << format;
  }
  auto first = of("dbmate");
  first.to = 1;
  EXPECT_THAT(printed(first).back().text, Not(HasSubstr("DELETE")))
      << "the first takes the table away";
}

TEST(migration_print, prints_a_part_and_the_grants_of_the_newest_version_only) {
  auto o = of("flyway");
  o.from = 2;
  EXPECT_THAT(names(o), ElementsAre("V0099__outboxd_0002_second.sql"));
  EXPECT_THAT(printed(o).back().text, HasSubstr("GRANT"));
  o.from = 1;
  o.to = 1;
  EXPECT_THAT(names(o), ElementsAre("V0099__outboxd_0001_first.sql"));
  EXPECT_THAT(printed(o).back().text, Not(HasSubstr("GRANT")));
}

TEST(migration_print, leaves_roles_to_somebody_else_when_asked) {
  auto o = of("sql");
  o.roles = print_roles::without;
  EXPECT_THAT(printed(o).at(0).text, AllOf(HasSubstr("ALTER"), Not(HasSubstr("GRANT"))));
  o.roles = print_roles::only;
  EXPECT_THAT(printed(o).at(0).text, AllOf(HasSubstr("GRANT"), Not(HasSubstr("ALTER"))));
}

TEST(migration_print, fills_in_names) {
  for (const auto& format : outbox::print_formats()) {
    auto o = of(format);
    o.names.schema = "my \xc3\xb6utbox";
    o.names.roles.reader = "eyes";
    std::string all;
    for (const auto& file : printed(o)) all += file.text;
    EXPECT_THAT(all, AllOf(HasSubstr("\"my \xc3\xb6utbox\".f()"), HasSubstr("\"eyes\""),
                           Not(HasSubstr("\"outbox\"")), Not(HasSubstr("outbox_reader"))))
        << format;
  }
}

TEST(migration_print, alembic_revisions_follow_each_other_and_what_was_named) {
  auto o = of("alembic");
  EXPECT_THAT(printed(o)[0].text, AllOf(HasSubstr("\nrevision = \"outboxd_0001\"\n"),
                                        HasSubstr("\ndown_revision = None\n"),
                                        HasSubstr("\nbranch_labels = (\"outboxd\",)\n")));
  EXPECT_THAT(printed(o)[1].text, HasSubstr("\ndown_revision = \"outboxd_0001\"\n"));
  o.after = "1975ea83b712";
  EXPECT_THAT(printed(o)[0].text, AllOf(HasSubstr("\ndown_revision = \"1975ea83b712\"\n"),
                                        HasSubstr("\nbranch_labels = None\n")));
  EXPECT_THAT(printed(o)[1].text, HasSubstr("\ndown_revision = \"outboxd_0001\"\n"));
}

TEST(migration_print, alembic_gets_one_statement_at_a_time) {
  EXPECT_THAT(printed(of("alembic"))[0].text,
              HasSubstr("    r\"\"\"\n-- outboxd: schema version 1 (first)\n\n"
                        "CREATE FUNCTION \"outbox\".f() AS $$ a; b; $$\n\"\"\",\n"));
}

TEST(migration_print, the_same_question_has_the_same_answer) {
  for (const auto& format : outbox::print_formats()) {
    const auto once = printed(of(format)), again = printed(of(format));
    for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].text, again[i].text) << format;
  }
}

TEST(migration_print, refuses_what_makes_no_sense) {
  const auto refused = [](auto change, const std::string& format = "sql") {
    auto o = of(format);
    change(o);
    const auto answer = outbox::print(o, two);
    return answer ? "printed" : answer.error().text;
  };
  EXPECT_THAT(refused([](auto& o) { o.format = "xml"; }), HasSubstr("no format xml"));
  EXPECT_THAT(refused([](auto& o) { o.from = 3; }), HasSubstr("there are 1 to 2"));
  EXPECT_THAT(refused([](auto& o) { o.to = 3; }), HasSubstr("there are 1 to 2"));
  EXPECT_THAT(refused([](auto& o) { o.number = "7"; }), HasSubstr("have no number"));
  EXPECT_THAT(refused([](auto& o) { o.number = ""; }, "flyway"), HasSubstr("want a number"));
  EXPECT_THAT(refused([](auto& o) { o.number = "7a"; }, "flyway"), HasSubstr("18 digits"));
  EXPECT_THAT(refused([](auto& o) { o.after = "abc"; }), HasSubstr("only migrations of alembic"));
  EXPECT_THAT(refused([](auto& o) { o.after = "a\"c"; }, "alembic"), HasSubstr("letters, digits"));
  EXPECT_THAT(refused([](auto& o) { o.roles = print_roles::only; }, "ef"),
              HasSubstr("as sql only"));
}

// What a tool or a language would take for its own in the text of a migration.
TEST(migration_print, nothing_in_our_migrations_means_something_to_a_tool) {
  const std::regex directive(
      R"((^|\n)\s*--\s*(migrate:|liquibase|changeset|rollback|comment[: ]|precondition|property|ignore))",
      std::regex::icase);
  std::vector<std::string> texts;
  for (const auto& m : migrations::all()) {
    texts.emplace_back(m.up);
    texts.emplace_back(m.down);
  }
  for (const auto& role : outbox::role_files()) texts.emplace_back(role.sql);
  for (const auto& text : texts) {
    EXPECT_FALSE(std::regex_search(text, directive));
    EXPECT_THAT(text, Not(HasSubstr("${"))) << "a placeholder of Flyway and Liquibase";
    EXPECT_THAT(text, Not(HasSubstr("\"\"\""))) << "the end of a string of Python or C#";
    EXPECT_THAT(text, Not(HasSubstr("\nSQL\n"))) << "the end of Ruby's heredoc";
    EXPECT_TRUE(text.ends_with('\n'));
  }
}

}  // namespace
