// What `migrate print` prints for each tool, applied by psql: no tool is needed for these. The
// tools themselves have migration_tools_test.cpp.
#include <fstream>

#include "outbox/migration_print.hpp"
#include "tests/recipes/printed_schema.hpp"

namespace outboxd::tests {
namespace {

const std::string source = OUTBOXD_SOURCE_DIR;

void run_sql(const printed_schema& schema, const std::string& sql) {
  const auto file = schema.directory().string() + ".sql";
  std::ofstream(file) << sql;
  run({{"psql", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-q", "-f", file, schema.url()}});
}

void apply(const printed_schema& schema, const std::string& format, const std::string& way) {
  const auto sql = run({{"/usr/bin/python3", "-B", source + "/tests/recipes/extract.py", format,
                         schema.directory().string(), way}});
  run_sql(schema, sql);
}

struct printed_files : testing::TestWithParam<std::string> {};
struct printed_ways_back : printed_files {};

std::vector<std::string> with_a_way_back() {
  auto formats = outbox::print_formats();
  std::erase(formats, "sql");
  std::erase(formats, "flyway");  // its community edition has none
  return formats;
}

std::string as_identifier(const testing::TestParamInfo<std::string>& tool) {
  auto name = tool.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

TEST_P(printed_files, make_a_schema_that_outboxd_knows) {
  const printed_schema schema(GetParam());
  apply(schema, GetParam(), "up");
  schema.expect_as_migrated();
}

INSTANTIATE_TEST_SUITE_P(tool, printed_files, testing::ValuesIn(outbox::print_formats()),
                         as_identifier);

TEST_P(printed_ways_back, take_the_schema_away) {
  const printed_schema schema(GetParam());
  apply(schema, GetParam(), "up");
  apply(schema, GetParam(), "down");
  schema.expect_gone();
}

INSTANTIATE_TEST_SUITE_P(tool, printed_ways_back, testing::ValuesIn(with_a_way_back()),
                         as_identifier);

// As it comes to be: each release prints what it adds.
TEST(printed_versions, may_be_applied_one_after_the_other) {
  const printed_schema schema("sql", {"--to", "1"});
  apply(schema, "sql", "up");
  run_sql(schema, run({{OUTBOXD_BINARY, "migrate", "print", "--from", "2"}}));
  schema.expect_as_migrated();
}

// By two people: one owns the tables, the other may make roles.
TEST(printed_versions, may_be_applied_apart_from_the_roles) {
  const printed_schema schema("sql", {"--no-roles"});
  apply(schema, "sql", "up");
  run_sql(schema, run({{OUTBOXD_BINARY, "migrate", "print", "--only-roles"}}));
  schema.expect_as_migrated();
}

TEST(printed_directory, replaces_no_file) {
  const printed_schema schema("liquibase");
  const auto file = schema.directory() / "outboxd_0001_outbox.sql";
  ASSERT_TRUE(exists(file));
  std::ofstream(file) << "mine";
  child_process again({{OUTBOXD_BINARY, "migrate", "print", "--format", "liquibase", "--directory",
                        schema.directory().string()}});
  EXPECT_EQ(again.wait(std::chrono::minutes(1)), (exit_status{64, 0})) << again.err();
  EXPECT_THAT(again.err(), testing::HasSubstr("is there already"));
  std::string text;
  std::ifstream(file) >> text;
  EXPECT_EQ(text, "mine");
}

}  // namespace
}  // namespace outboxd::tests
