// What `migrate print` prints, applied by the tools themselves, and taken back where they can. A
// tool that is not here is skipped; ./dev test recipes brings them all, but for EF, which needs
// .NET.
#include <fstream>

#include "tests/recipes/printed_schema.hpp"
#include "tests/recipes/wanted.hpp"

namespace outboxd::tests {
namespace {

const std::filesystem::path fetched = OUTBOXD_RECIPES;
const std::string recipes = OUTBOXD_SOURCE_DIR "/tests/recipes";
constexpr auto limit = std::chrono::minutes(5);

// Goals of the plugins of maven/pom.xml, with what was fetched and nothing else.
void maven(const std::string& goal, const database_address& to,
           const std::vector<std::string>& more) {
  std::vector<std::string> argv{"mvn",
                                "-q",
                                "-B",
                                "-o",
                                "-Dmaven.repo.local=" + (fetched / "m2").string(),
                                "-f",
                                recipes + "/maven/pom.xml",
                                goal};
  argv.insert(argv.end(), more.begin(), more.end());
  run({argv, {{"JDBC_URL", to.jdbc()}, {"JDBC_USER", to.user}, {"JDBC_PASSWORD", to.password}}},
      limit);
}

TEST(migration_tools, flyway) {
  OUTBOXD_WANTS(fetched / "m2/ready");
  const printed_schema schema("flyway");
  const std::vector<std::string> where{"-Dflyway.locations=filesystem:" +
                                       schema.directory().string()};
  maven("org.flywaydb:flyway-maven-plugin:migrate", schema.address(), where);
  schema.expect_as_migrated();
  maven("org.flywaydb:flyway-maven-plugin:validate", schema.address(), where);
}

TEST(migration_tools, liquibase) {
  OUTBOXD_WANTS(fetched / "m2/ready");
  const printed_schema schema("liquibase");
  std::ofstream(schema.directory() / "changelog.yaml")
      << "databaseChangeLog:\n  - includeAll:\n      path: .\n      relativeToChangelogFile: true\n"
         "      endsWithFilter: .sql\n";
  const std::vector<std::string> where{"-Dliquibase.searchPath=" + schema.directory().string(),
                                       "-Dliquibase.changeLogFile=changelog.yaml"};
  maven("org.liquibase:liquibase-maven-plugin:update", schema.address(), where);
  schema.expect_as_migrated();
  const auto applied = sql_session(schema.url()).must("SELECT count(*) FROM databasechangelog");
  auto back = where;
  back.push_back("-Dliquibase.rollbackCount=" + applied);
  maven("org.liquibase:liquibase-maven-plugin:rollback", schema.address(), back);
  schema.expect_gone();
}

TEST(migration_tools, dbmate) {
  const auto program = fetched / "npm/node_modules/@dbmate/linux-x64/bin/dbmate";
  OUTBOXD_WANTS(program);
  const printed_schema schema("dbmate");
  const auto dbmate = [&](const std::string& verb) {
    return run(
        {{program.string(), "--no-dump-schema", "--migrations-dir", schema.directory().string(),
          "--url", schema.address().with_scheme("postgres") + "?sslmode=disable", verb}},
        limit);
  };
  dbmate("migrate");
  schema.expect_as_migrated();
  const auto applied = sql_session(schema.url()).must("SELECT count(*) FROM schema_migrations");
  for (int i = 0; i < std::stoi(applied); ++i) dbmate("rollback");
  schema.expect_gone();
}

TEST(migration_tools, golang_migrate) {
  const auto program = fetched / "go/migrate";
  OUTBOXD_WANTS(program);
  const printed_schema schema("golang-migrate");
  const auto migrate = [&](std::vector<std::string> verb) {
    verb.insert(verb.begin(), {program.string(), "-path", schema.directory().string(), "-database",
                               schema.address().with_scheme("postgres") + "?sslmode=disable"});
    return run({verb}, limit);
  };
  migrate({"up"});
  schema.expect_as_migrated();
  migrate({"down", "-all"});
  schema.expect_gone();
}

// By driver: that of asyncpg takes one statement at a time.
struct alembic_with : testing::TestWithParam<std::string> {
  static std::string alembic(const printed_schema& schema, std::vector<std::string> verb) {
    const auto ini = schema.directory().string() + ".ini";
    std::ofstream(ini) << "[alembic]\nscript_location = " << recipes
                       << "/alembic\nversion_locations = " << schema.directory().string() << "\n";
    verb.insert(verb.begin(), {"/usr/bin/python3", "-B", "-m", "alembic", "-c", ini});
    return run({verb, {{"DATABASE_URL", schema.address().with_scheme("postgresql+" + GetParam())}}},
               limit);
  }
};

TEST_P(alembic_with, goes_up_and_down) {
  OUTBOXD_SKIP_UNLESS(has_python("alembic, " + GetParam()), "Alembic with " + GetParam());
  const printed_schema schema("alembic");
  alembic(schema, {"upgrade", "heads"});
  schema.expect_as_migrated();
  alembic(schema, {"downgrade", "base"});
  schema.expect_gone();
}

TEST_P(alembic_with, follows_a_revision_of_the_users) {
  OUTBOXD_SKIP_UNLESS(has_python("alembic, " + GetParam()), "Alembic with " + GetParam());
  const printed_schema schema("alembic", {"--after", "1975ea83b712"});
  std::ofstream(schema.directory() / "1975ea83b712_own.py")
      << "revision = '1975ea83b712'\ndown_revision = None\n"
         "def upgrade():\n  pass\ndef downgrade():\n  pass\n";
  alembic(schema, {"upgrade", "head"});
  schema.expect_as_migrated();
}

TEST_P(alembic_with, writes_a_script_instead) {
  OUTBOXD_SKIP_UNLESS(has_python("alembic, " + GetParam()), "Alembic with " + GetParam());
  const printed_schema schema("alembic");
  const auto file = schema.directory().string() + ".sql";
  std::ofstream(file) << alembic(schema, {"upgrade", "heads", "--sql"});
  run({{"psql", "-v", "ON_ERROR_STOP=1", "-q", "-f", file, schema.url()}});
  schema.expect_as_migrated();
}

INSTANTIATE_TEST_SUITE_P(driver, alembic_with, testing::Values("psycopg2", "asyncpg"));

TEST(migration_tools, rails) {
  OUTBOXD_SKIP_UNLESS(works({"ruby", "-ractive_record", "-rpg", "-e", ""}), "ActiveRecord");
  const printed_schema schema("rails");
  const auto rails = [&](const std::string& way) {
    return run({{"ruby", recipes + "/rails.rb", schema.directory().string(), way},
                {{"DATABASE_URL", schema.url()}}},
               limit);
  };
  rails("up");
  schema.expect_as_migrated();
  rails("down");
  schema.expect_gone();
}

}  // namespace
}  // namespace outboxd::tests
