// Schema and processes are updated one after the other, while services write. The schema of the
// next release is made up here: all that is known of it is that it adds.
#include <csignal>

#include "outbox/migrator.hpp"
#include "tests/integration/database_fault.hpp"
#include "tests/support/child_process.hpp"

namespace outboxd::tests {
namespace {

constexpr std::string_view next_version = R"(
ALTER TABLE "outbox".messages ADD COLUMN tenant text NOT NULL DEFAULT 'none';
CREATE INDEX messages_of_tenant ON "outbox".messages (tenant, id) WHERE status = 'pending';
CREATE TABLE "outbox".tenants (name text PRIMARY KEY);
CREATE FUNCTION "outbox".tenant(bigint) RETURNS text LANGUAGE sql AS $$
  SELECT tenant FROM "outbox".messages WHERE id = $1
$$;
)";

class upgrades : public database_fault {
 protected:
  void migrate_to_the_next_version() {
    const auto known = migrations::all();
    std::vector<migrations::migration> files(known.begin(), known.end());
    files.push_back({known.back().version + 1, "tenants", next_version, ""});
    outbox::migrate_options options;
    options.url = db.url();
    EXPECT_EQ(outbox::up(options, files).value().applied.size(), 1u);
  }

  void await_more(const writers& load) {
    const auto before = load.committed();
    ASSERT_TRUE(eventually(60s, [&] { return load.committed() > before + 100; }));
  }

  std::pair<int, std::string> outboxd(const std::string& verb) {
    child_process child({{OUTBOXD_BINARY, verb},
                         {{"OUTBOX_DATABASE_URL", db.url()}, {"OUTBOX_AMQP_URL", amqp_url}}});
    const auto status = child.wait(1min);
    return {status.value().code, child.out() + child.err()};
  }
};

TEST_F(upgrades, the_process_before_relays_on_the_schema_of_the_next_release) {
  writers load(db.url(), 3);
  {
    const auto relay = start_ready(db.url());
    await_more(load);
    migrate_to_the_next_version();
    await_more(load);
    relay->kill(SIGTERM);
    EXPECT_EQ(relay->wait(30s), exit_status{}) << relay->log();
  }
  const auto again = start_ready(db.url());
  await_more(load);
  expect_everything_delivered(*again, &load);
  EXPECT_EQ(got.duplicates, 0u);
}

TEST_F(upgrades, the_process_before_says_that_the_schema_is_newer_and_leaves_it) {
  migrate_to_the_next_version();
  const auto [checked, lines] = outboxd("check");
  EXPECT_EQ(checked, 0) << lines;
  EXPECT_THAT(lines, testing::HasSubstr("made by a newer outboxd"));
  const auto [migrated, why] = outboxd("migrate");
  EXPECT_EQ(migrated, 78);
  EXPECT_THAT(why, testing::HasSubstr("use a newer outboxd"));
}

// Replicas that migrate by themselves: the old ones cannot, and relay all the same.
TEST_F(upgrades, the_process_before_relays_even_if_it_was_told_to_migrate) {
  migrate_to_the_next_version();
  const auto relay = start_ready(db.url(), {{"OUTBOX_AUTO_MIGRATE", "true"}});
  insert(10);
  expect_everything_delivered(*relay);
  EXPECT_TRUE(relay->logged("schema.migration_failed"));
}

}  // namespace
}  // namespace outboxd::tests
