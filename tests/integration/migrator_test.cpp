// Applying the schema: whole or not at all, by anyone, at the same time, under any name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "outbox/migration_print.hpp"
#include "tests/integration/migrated_database.hpp"

using namespace outboxd;
using namespace outboxd::tests;
using outbox::migrate_options;
using outbox::migration_status;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

migrate_options fresh(const std::string& schema = "outbox") {
  migrate_options options;
  options.url = shared_postgres().create_database();
  options.schema = schema;
  return options;
}

std::vector<migrations::migration> with_another(std::string_view up) {
  const auto known = migrations::all();
  std::vector<migrations::migration> files(known.begin(), known.end());
  files.push_back({static_cast<int>(files.size()) + 1, "another", up, ""});
  return files;
}

const int newest = outbox::newest_version();

TEST(migrator, applies_everything_once) {
  const auto options = fresh();
  const auto first = outbox::up(options).value();
  EXPECT_EQ(first.version, newest);
  EXPECT_EQ(first.applied.size(), static_cast<std::size_t>(newest));
  EXPECT_EQ(first.grants_to_run, "");
  const auto second = outbox::up(options).value();
  EXPECT_EQ(second.version, newest);
  EXPECT_THAT(second.applied, IsEmpty());
  EXPECT_EQ(second.grants_to_run, "");
}

TEST(migrator, refuses_a_database_whose_texts_may_not_be_utf8) {
  migrate_options options;
  options.url = shared_postgres().create_database(in_sql_ascii);
  const auto refused = outbox::up(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, base::failure_kind::not_ready);
  EXPECT_THAT(refused.error().text, HasSubstr("pg_dump"));
  EXPECT_EQ(sql_session(options.url).must("SELECT to_regnamespace('outbox') IS NULL"), "t");
}

TEST(migrator, records_what_it_applied) {
  const auto options = fresh();
  outbox::up(options).value();
  sql_session session(options.url);
  EXPECT_EQ(session.must("SELECT checksum FROM outbox.schema_version WHERE version = 1"),
            migrations::checksum(migrations::all()[0]));
  EXPECT_EQ(session.must("SELECT title || applied_by FROM outbox.schema_version WHERE version = 1"),
            "outbox" + session.must("SELECT session_user"));
  EXPECT_EQ(session.must(std::string(outbox::installed_version_sql)), std::to_string(newest));
}

TEST(migrator, status_tells_pending_from_applied) {
  const auto options = fresh();
  EXPECT_EQ(outbox::status(options).value().at(0).status, migration_status::pending);
  outbox::up(options).value();
  const auto after = outbox::status(options, with_another("SELECT 1")).value();
  EXPECT_EQ(after.at(0).status, migration_status::applied);
  EXPECT_NE(after.at(0).applied_at, "");
  EXPECT_EQ(after.back().status, migration_status::pending);
}

TEST(migrator, eight_at_once_apply_each_version_once) {
  const auto options = fresh();
  std::vector<std::thread> replicas;
  replicas.reserve(8);
  std::vector<base::result<outbox::migrate_report>> reports(
      8, base::failure{base::failure_kind::rejected, "never ran"});
  for (auto& report : reports) {
    replicas.emplace_back([&options, &report] { report = outbox::up(options); });
  }
  for (auto& replica : replicas) replica.join();
  std::size_t applied = 0;
  for (const auto& report : reports) {
    ASSERT_TRUE(report.has_value()) << report.error().text;
    EXPECT_EQ(report->version, newest);
    applied += report->applied.size();
  }
  EXPECT_EQ(applied, static_cast<std::size_t>(newest));
}

TEST(migrator, databases_of_one_cluster_may_create_the_same_roles_at_once) {
  std::vector<migrate_options> options;
  for (int i = 0; i < 4; ++i) {
    options.push_back(fresh());
    options.back().roles = {"race_writer", "race_relay", "race_operator", "race_reader"};
  }
  std::vector<std::thread> owners;
  owners.reserve(options.size());
  for (auto& o : options) {
    owners.emplace_back([&o] { EXPECT_EQ(outbox::up(o).value().grants_to_run, ""); });
  }
  for (auto& owner : owners) owner.join();
}

TEST(migrator, a_version_that_fails_leaves_nothing_behind) {
  const auto options = fresh();
  const auto files = with_another("CREATE TABLE \"outbox\".half (x int); SELECT 1/0;");
  const auto outcome = outbox::up(options, files);
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().kind, base::failure_kind::rejected);
  EXPECT_THAT(outcome.error().text, HasSubstr("division by zero"));
  sql_session session(options.url);
  EXPECT_EQ(session.must("SELECT to_regclass('outbox.half')"), "null");
  EXPECT_EQ(session.must(std::string(outbox::installed_version_sql)), std::to_string(newest))
      << "the versions before it stay";
}

TEST(migrator, a_file_that_changed_after_it_was_applied_is_an_error_that_names_it) {
  const auto options = fresh();
  outbox::up(options).value();
  sql_session(options.url)
      .must("UPDATE outbox.schema_version SET checksum = 'abc' WHERE version = 1");
  const auto outcome = outbox::up(options);
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().kind, base::failure_kind::rejected);
  EXPECT_THAT(outcome.error().text, HasSubstr("1 (outbox) was applied from a file that differs"));
  EXPECT_EQ(outbox::status(options).value().at(0).status, migration_status::changed);
}

TEST(migrator, a_schema_newer_than_ours_is_an_error_that_says_so) {
  const auto options = fresh();
  outbox::up(options, with_another("SELECT 1")).value();
  const auto outcome = outbox::up(options);
  ASSERT_TRUE(outcome.has_error());
  EXPECT_THAT(outcome.error().text, HasSubstr("use a newer outboxd"));
  EXPECT_EQ(outbox::status(options).value().back().status, migration_status::unknown);
}

TEST(migrator, a_hole_in_the_history_is_an_error) {
  const auto options = fresh();
  outbox::up(options, with_another("SELECT 1")).value();
  sql_session(options.url).must("DELETE FROM outbox.schema_version WHERE version = 1");
  const auto outcome = outbox::up(options, with_another("SELECT 1"));
  ASSERT_TRUE(outcome.has_error());
  EXPECT_THAT(outcome.error().text, HasSubstr("1 (outbox) is missing"));
}

TEST(migrator, any_name_that_can_be_quoted_will_do) {
  for (const std::string name : {"My Outbox", "select", "büro;-- x", "outbox_writer", "a.b"}) {
    auto options = fresh(name);
    options.roles.writer = "The Writer of " + name;
    const migrated_database database(options);
    auto writer = database.as(options.roles.writer);
    EXPECT_EQ(writer.must("SELECT \"" + name +
                          "\".publish('', 'q', 'x', ordering_key => 'k',"
                          " serialize => true, not_before => now() + interval '1 s')"),
              "1")
        << name;
    EXPECT_EQ(database.as("outbox_operator").must("SELECT \"" + name + "\".retry(1)"), "f") << name;
  }
}

TEST(migrator, a_name_that_could_end_its_quotes_is_refused_before_anything_is_sent) {
  for (const std::string name : {"", "a\"b", "a'b", "a$$b", "a\\b", "a\nb"}) {
    migrate_options options;
    options.url = "host=nowhere.invalid";
    options.schema = name;
    EXPECT_EQ(outbox::up(options).error().kind, base::failure_kind::bad_input) << name;
    outbox::print_options to_print;
    to_print.names.schema = name;
    EXPECT_EQ(outbox::print(to_print).error().kind, base::failure_kind::bad_input) << name;
  }
}

TEST(migrator, the_longest_schema_name_still_fits_its_channel) {
  EXPECT_TRUE(outbox::validate_schema_name(std::string(55, 'x')).has_value());
  EXPECT_TRUE(outbox::validate_schema_name(std::string(56, 'x')).has_error());
  const migrated_database database(fresh(std::string(55, 'x')));
  auto owner = database.owner();
  owner.must("LISTEN " + outbox::wake_channel(std::string(55, 'x')));
}

TEST(migrator, a_server_that_is_away_is_unavailable) {
  migrate_options options;
  options.url = "postgresql://127.0.0.1:1/nothing";
  EXPECT_EQ(outbox::up(options).error().kind, base::failure_kind::unavailable);
  EXPECT_EQ(outbox::status(options).error().kind, base::failure_kind::unavailable);
}

// An owner who is not a superuser, as managed databases give it.
struct modest_owner : testing::Test {
  migrate_options options = fresh();
  sql_session superuser{options.url};

  modest_owner() {
    const auto database = superuser.must("SELECT current_database()");
    const auto role = "owner_of_" + database;
    superuser.must("CREATE ROLE " + role + " LOGIN PASSWORD 'secret'; GRANT CREATE ON DATABASE " +
                   database + " TO " + role);
    options.url += options.url.find('?') == std::string::npos ? "?" : "&";
    options.url += "user=" + role + "&password=secret";
  }
};

TEST_F(modest_owner, without_createrole_migrates_and_hands_over_the_missing_grants) {
  options.roles = {"modest_writer", "modest_relay", "modest_operator", "modest_reader"};
  const auto report = outbox::up(options).value();
  EXPECT_EQ(report.version, newest);
  EXPECT_THAT(report.grants_to_run, HasSubstr("CREATE ROLE \"modest_reader\""));

  superuser.must(report.grants_to_run);
  superuser.must("SET ROLE modest_writer");
  EXPECT_EQ(superuser.must("SELECT outbox.publish('', 'q', 'x')"), "1");
  superuser.must("RESET ROLE");
  EXPECT_EQ(outbox::up(options).value().grants_to_run, "");
}

TEST_F(modest_owner, grants_to_roles_that_are_already_there) {
  options.roles = {"there_writer", "there_relay", "there_operator", "there_reader"};
  superuser.must("CREATE ROLE there_writer; CREATE ROLE there_relay; CREATE ROLE there_operator");
  const auto report = outbox::up(options).value();
  EXPECT_THAT(report.grants_to_run, HasSubstr("CREATE ROLE \"there_reader\""));
  EXPECT_THAT(report.grants_to_run, testing::Not(HasSubstr("CREATE ROLE \"there_writer\"")));
  superuser.must("SET ROLE there_writer");
  EXPECT_EQ(superuser.must("SELECT outbox.publish('', 'q', 'x')"), "1");
}

TEST_F(modest_owner, may_use_a_schema_that_somebody_else_made) {
  options.roles = {"given_writer", "given_relay", "given_operator", "given_reader"};
  superuser.must("REVOKE CREATE ON DATABASE " + superuser.must("SELECT current_database()") +
                 " FROM owner_of_" + superuser.must("SELECT current_database()"));
  EXPECT_EQ(outbox::up(options).error().kind, base::failure_kind::forbidden);
  superuser.must("CREATE SCHEMA outbox; GRANT USAGE, CREATE ON SCHEMA outbox TO owner_of_" +
                 superuser.must("SELECT current_database()") +
                 "; CREATE ROLE given_writer; CREATE ROLE given_relay; CREATE ROLE given_operator;"
                 " CREATE ROLE given_reader");
  const auto report = outbox::up(options).value();
  EXPECT_EQ(report.version, newest);
  // The schema is not the owner's to grant, and the server only warns about that.
  EXPECT_THAT(report.grants_to_run,
              HasSubstr("GRANT USAGE ON SCHEMA \"outbox\" TO \"given_writer\""));
  superuser.must(report.grants_to_run);
  superuser.must("SET ROLE given_writer");
  EXPECT_EQ(superuser.must("SELECT outbox.publish('', 'q', 'x')"), "1");
}

void take_down(sql_session& owner, const outbox::schema_names& names) {
  const auto files = migrations::all();
  for (auto m = files.rbegin(); m != files.rend(); ++m)
    owner.must("BEGIN;" + outbox::fill_in(m->down, names) + "; COMMIT");
}

TEST(migrator, down_removes_everything) {
  auto options = fresh("My Outbox");
  const migrated_database database(options);
  auto owner = database.owner();
  owner.must("INSERT INTO \"My Outbox\".messages (payload) VALUES ('x')");
  take_down(owner, {options.schema, options.roles});
  EXPECT_EQ(owner.must("SELECT count(*) FROM pg_namespace WHERE nspname = 'My Outbox'"), "0");
  EXPECT_EQ(outbox::up(options).value().version, newest);
}

TEST(migrator, down_leaves_a_schema_that_holds_something_else) {
  const auto options = fresh();
  const migrated_database database(options);
  auto owner = database.owner();
  owner.must("CREATE TABLE outbox.of_the_user (x int)");
  take_down(owner, {});
  EXPECT_EQ(owner.must("SELECT string_agg(relname, ',') FROM pg_class WHERE relkind = 'r' AND"
                       " relnamespace = 'outbox'::regnamespace"),
            "of_the_user");
}

std::string output_of(const std::string& command) {
  const auto file = std::filesystem::temp_directory_path() /
                    ("outboxd-migrator-test-" + std::to_string(::getpid()));
  const int status = std::system((command + " > " + file.string() + " 2>&1").c_str());
  std::ifstream in(file);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  std::filesystem::remove(file);
  if (status != 0) throw std::runtime_error(command + ": " + text);
  return text;
}

// Without the lines that differ at every run.
std::string dump(const std::string& uri) {
  return output_of("pg_dump --schema-only '" + uri + "' | grep -v '^.\\(un\\)\\?restrict '");
}

void print_makes_the_same(const std::string& schema) {
  const auto migrated = fresh(schema);
  outbox::up(migrated).value();
  const auto printed = fresh(schema);
  const auto file = std::filesystem::temp_directory_path() /
                    ("outboxd-printed-" + std::to_string(::getpid()) + ".sql");
  outbox::print_options to_print;
  to_print.names.schema = schema;
  std::ofstream(file) << outbox::print(to_print).value().at(0).text;
  output_of("psql -v ON_ERROR_STOP=1 --single-transaction -f " + file.string() + " '" +
            printed.url + "'");
  std::filesystem::remove(file);

  EXPECT_EQ(dump(migrated.url), dump(printed.url));
  const auto report = outbox::up(printed).value();
  EXPECT_THAT(report.applied, IsEmpty()) << "the printed SQL records itself";
  EXPECT_EQ(report.version, newest);
}

TEST(migrator, what_it_prints_makes_the_same_through_psql) {
  print_makes_the_same("outbox");
}

TEST(migrator, what_it_prints_makes_the_same_under_another_name) {
  print_makes_the_same("My Outbox");
}

TEST(migrator, a_dump_restores_into_a_working_outbox) {
  const migrated_database original;
  original.writer().must(
      "SELECT outbox.publish('', 'q', 'x', headers => jsonb_build_object(repeat('h', 250), 1, 'b', "
      "2))");
  const auto copy = shared_postgres().create_database();
  output_of("pg_dump '" + original.uri() + "' | psql -q -v ON_ERROR_STOP=1 '" + copy + "'");
  sql_session session(copy);
  session.must("SET ROLE outbox_writer");
  EXPECT_EQ(session.must("SELECT outbox.publish('', 'q', 'y')"), "2");
}

}  // namespace
