#include "service/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "service/broker_nodes.hpp"
#include "service/options.hpp"
#include "service/settings_names.hpp"
#include "service/settings_table.hpp"
#include "service/settings_text.hpp"

namespace outboxd::service {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const shown_setting& shown(const loaded_settings& loaded, std::string_view name) {
  for (const auto& s : loaded.shown) {
    if (s.name == name) return s;
  }
  throw std::logic_error("not in the table: " + std::string(name));
}

class temporary_file {
 public:
  explicit temporary_file(const std::string& content)
      : path_(testing::TempDir() + "outboxd_settings_test_" + std::to_string(::getpid())) {
    write(content);
  }
  ~temporary_file() { std::filesystem::remove(path_); }
  void write(const std::string& content) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(settings, an_empty_environment_gives_the_documented_defaults) {
  const auto loaded = load({});
  ASSERT_THAT(loaded.errors, IsEmpty());
  EXPECT_THAT(loaded.warnings, IsEmpty());
  const auto& v = loaded.values;
  EXPECT_FALSE(v.database_url.is_set());
  EXPECT_EQ(v.amqp_url.value().value(), "amqp://guest:guest@localhost:5672/");
  EXPECT_EQ(v.schema, "outbox");
  EXPECT_EQ(v.connections, 2u);
  EXPECT_EQ(v.batch_size, 1000u);
  EXPECT_EQ(v.max_in_flight, 2048u);
  EXPECT_EQ(v.max_in_flight_bytes.bytes, 64u << 20);
  EXPECT_EQ(v.max_message_size.bytes, 16u << 20);
  EXPECT_EQ(v.confirm_timeout, milliseconds(30'000));
  EXPECT_EQ(v.retry_min, milliseconds(500));
  EXPECT_EQ(v.retry_max, milliseconds(60'000));
  EXPECT_EQ(v.wake, "notify");
  EXPECT_EQ(v.poll_interval, milliseconds(1'000));
  EXPECT_EQ(v.retention, std::chrono::hours(24));
  EXPECT_EQ(v.dead_retention, std::chrono::hours(24 * 30));
  EXPECT_EQ(v.http_listen.host, "0.0.0.0");
  EXPECT_EQ(v.http_listen.port, 9654);
  EXPECT_FALSE(v.auto_migrate);
  EXPECT_EQ(v.shutdown_timeout, milliseconds(20'000));
  EXPECT_EQ(v.log_level, "info");
}

TEST(settings, every_default_in_the_table_is_accepted_and_in_range) {
  for (const auto& row : settings_table()) {
    if (row.default_value.empty()) continue;
    const auto loaded = load({{std::string(row.name), std::string(row.default_value)}});
    EXPECT_THAT(loaded.errors, IsEmpty()) << row.name;
  }
}

TEST(settings, a_bare_number_is_refused_and_the_error_shows_the_forms) {
  const auto loaded =
      load({{"OUTBOX_CONFIRM_TIMEOUT", "30"}, {"OUTBOX_MAX_MESSAGE_SIZE", "1048576"}});
  EXPECT_THAT(loaded.errors,
              ElementsAre(AllOf(HasSubstr("OUTBOX_MAX_MESSAGE_SIZE=1048576"), HasSubstr("16MiB")),
                          AllOf(HasSubstr("OUTBOX_CONFIRM_TIMEOUT=30"), HasSubstr("500ms"))));
}

TEST(settings, all_mistakes_are_reported_together) {
  const auto loaded = load({{"OUTBOX_BATCH_SIZE", "many"},
                            {"OUTBOX_WAKE", "later"},
                            {"OUTBOX_HTTP_LISTEN", "9654"},
                            {"OUTBOX_AUTO_MIGRATE", "yes"},
                            {"OUTBOX_SCHEMA", "Robert'); DROP"}});
  EXPECT_THAT(loaded.errors,
              testing::UnorderedElementsAre(
                  AllOf(HasSubstr("OUTBOX_BATCH_SIZE=many"), HasSubstr("from 1 to 100000")),
                  AllOf(HasSubstr("OUTBOX_WAKE=later"), HasSubstr("notify or poll")),
                  AllOf(HasSubstr("OUTBOX_HTTP_LISTEN=9654"), HasSubstr("0.0.0.0:9654")),
                  AllOf(HasSubstr("OUTBOX_AUTO_MIGRATE=yes"), HasSubstr("true or false")),
                  HasSubstr("OUTBOX_SCHEMA=Robert")));
}

TEST(settings, a_value_outside_its_range_is_refused) {
  EXPECT_THAT(load({{"OUTBOX_CONNECTIONS", "0"}}).errors, SizeIs(1));
  EXPECT_THAT(load({{"OUTBOX_CONNECTIONS", "65"}}).errors, SizeIs(1));
  EXPECT_THAT(load({{"OUTBOX_CONNECTIONS", "64"}}).errors, IsEmpty());
  EXPECT_THAT(load({{"OUTBOX_CONFIRM_TIMEOUT", "999ms"}}).errors, SizeIs(1));
}

TEST(settings, values_that_contradict_each_other_are_refused) {
  EXPECT_THAT(load({{"OUTBOX_RETRY_MIN", "5m"}}).errors,
              ElementsAre(HasSubstr("OUTBOX_RETRY_MAX=1m")));
  EXPECT_THAT(load({{"OUTBOX_MAX_IN_FLIGHT_BYTES", "1MiB"}}).errors,
              ElementsAre(HasSubstr("OUTBOX_MAX_MESSAGE_SIZE=16MiB does not fit")));
}

TEST(settings, an_empty_variable_counts_as_not_set) {
  const auto loaded = load(
      {{"OUTBOX_BATCH_SIZE", ""}, {"OUTBOX_DATABASE_URL", "  "}, {"DATABASE_URL", "service=app"}});
  ASSERT_THAT(loaded.errors, IsEmpty());
  EXPECT_EQ(loaded.values.batch_size, 1000u);
  EXPECT_EQ(loaded.values.database_url.value().value(), "service=app");
}

TEST(settings, blanks_around_a_plain_value_are_ignored) {
  EXPECT_EQ(load({{"OUTBOX_BATCH_SIZE", " 7\n"}}).values.batch_size, 7u);
}

TEST(settings, others_than_this_host_need_a_token_for_the_admin_api) {
  for (const auto* where : {"0.0.0.0:9655", "[::]:9655", "10.1.2.3:9655"}) {
    EXPECT_THAT(load({{"OUTBOX_ADMIN_LISTEN", where}}).errors,
                ElementsAre(AllOf(HasSubstr(where), HasSubstr("OUTBOX_ADMIN_TOKEN"))));
    const auto with_token =
        load({{"OUTBOX_ADMIN_LISTEN", where}, {"OUTBOX_ADMIN_TOKEN", "0123456789abcdef"}});
    EXPECT_THAT(with_token.errors, IsEmpty());
    EXPECT_THAT(with_token.cautions, IsEmpty());
  }
  for (const auto* where : {"127.0.0.1:9655", "127.9.9.9:1", "[::1]:0", "off"})
    EXPECT_THAT(load({{"OUTBOX_ADMIN_LISTEN", where}}).errors, IsEmpty()) << where;
  EXPECT_TRUE(load({{"OUTBOX_ADMIN_LISTEN", "off"}}).values.admin_listen.is_off());
  EXPECT_THAT(load({{"OUTBOX_HTTP_LISTEN", "off"}}).errors, SizeIs(1));
}

TEST(settings, a_token_that_might_be_guessed_draws_a_caution_that_does_not_show_it) {
  const auto loaded = load({{"OUTBOX_ADMIN_TOKEN", "hush"}});
  EXPECT_THAT(loaded.cautions,
              ElementsAre(AllOf(HasSubstr("16 characters"), Not(HasSubstr("hush")))));
  EXPECT_EQ(shown(loaded, "OUTBOX_ADMIN_TOKEN").value, "***");
}

TEST(settings, what_becomes_of_rows_reaches_the_relay_and_the_store) {
  const auto plain = load({}).values;
  EXPECT_FALSE(relay_options(plain).pipelined);
  EXPECT_FALSE(relay_options(plain).block_on_dead);
  EXPECT_EQ(relay_options(plain).give_up_after, milliseconds(0));
  EXPECT_EQ(relay_options(plain).max_delay, milliseconds(0));

  const auto loaded = load({{"OUTBOX_ORDERING", "pipelined"},
                            {"OUTBOX_ON_DEAD", "block"},
                            {"OUTBOX_GIVE_UP_AFTER", "1h"},
                            {"OUTBOX_MAX_DELAY", "7d"}});
  ASSERT_THAT(loaded.errors, IsEmpty());
  const auto told = relay_options(loaded.values);
  EXPECT_TRUE(told.pipelined);
  EXPECT_TRUE(told.block_on_dead);
  EXPECT_EQ(told.give_up_after, milliseconds(3'600'000));
  EXPECT_EQ(told.max_delay, milliseconds(7 * 24 * 3'600'000));

  metrics m;
  EXPECT_FALSE(database_options(plain, "pod-1", m).keep_dead_keys);
  EXPECT_TRUE(database_options(loaded.values, "pod-1", m).keep_dead_keys);
}

TEST(settings, values_that_work_against_each_other_draw_a_caution_with_the_reason) {
  EXPECT_THAT(load({}).cautions, IsEmpty());
  EXPECT_THAT(load({{"OUTBOX_CONFIRM_TIMEOUT", "10s"}}).cautions,
              ElementsAre(AllOf(HasSubstr("OUTBOX_CONFIRM_TIMEOUT=10s"), HasSubstr("(15s)"),
                                HasSubstr("sent twice"))));
  EXPECT_THAT(
      load({{"OUTBOX_CONFIRM_TIMEOUT", "10s"}, {"OUTBOX_AMQP_URL", "amqp://localhost?heartbeat=5"}})
          .cautions,
      IsEmpty());
  EXPECT_THAT(load({{"OUTBOX_MAX_IN_FLIGHT", "1"}}).cautions,
              ElementsAre(HasSubstr("OUTBOX_CONNECTIONS=2")));
  EXPECT_THAT(load({{"OUTBOX_GIVE_UP_AFTER", "30s"}}).cautions,
              ElementsAre(AllOf(HasSubstr("OUTBOX_RETRY_MAX=1m"), HasSubstr("tenth"))));
  EXPECT_THAT(load({{"OUTBOX_CONFIRM_TIMEOUT", "10s"}, {"OUTBOX_BATCH_SIZE", "0"}}).cautions,
              IsEmpty())
      << "errors first";
}

TEST(settings, what_others_could_read_or_change_on_the_way_draws_a_caution) {
  const auto cautions = [](const std::string& database, const std::string& broker) {
    return load({{"OUTBOX_DATABASE_URL", database}, {"OUTBOX_AMQP_URL", broker}}).cautions;
  };
  EXPECT_THAT(cautions("postgresql://db/app", "amqps://rabbit"), IsEmpty());
  EXPECT_THAT(cautions("postgresql://127.0.0.1/app", "amqp://[::1],amqp://localhost"), IsEmpty());
  EXPECT_THAT(cautions("postgresql://db/app?sslmode=require&password=verysecret",
                       "amqp://u:verysecret@one,amqps://two?verify=verify_none"),
              ElementsAre(HasSubstr("OUTBOX_DATABASE_URL has sslmode=require"),
                          HasSubstr("OUTBOX_AMQP_URL has no TLS for one"),
                          HasSubstr("OUTBOX_AMQP_URL has verify=verify_none for two")));
  for (const auto& text :
       cautions("postgresql://u:verysecret@db/?sslmode=disable", "amqp://u:verysecret@one"))
    EXPECT_THAT(text, Not(HasSubstr("verysecret")));
}

TEST(settings, an_unknown_name_draws_a_warning_with_the_nearest_name) {
  const auto loaded =
      load({{"OUTBOX_BACH_SIZE", "5"}, {"OUTBOX_AMQP_PASSWORT_FILE", "/x"}, {"HOME", "/root"}});
  EXPECT_THAT(loaded.errors, IsEmpty());
  EXPECT_THAT(loaded.warnings,
              ElementsAre(AllOf(HasSubstr("OUTBOX_AMQP_PASSWORT_FILE"),
                                HasSubstr("OUTBOX_AMQP_PASSWORD_FILE")),
                          AllOf(HasSubstr("OUTBOX_BACH_SIZE"), HasSubstr("OUTBOX_BATCH_SIZE"))));
}

TEST(settings, what_kubernetes_injects_draws_no_warning) {
  const char* names[] = {"OUTBOX_PORT",
                         "OUTBOX_PORT_9654_TCP",
                         "OUTBOX_PORT_9654_TCP_ADDR",
                         "OUTBOX_SERVICE_HOST",
                         "OUTBOX_SERVICE_PORT",
                         "OUTBOX_SERVICE_PORT_METRICS",
                         "OUTBOX_DB_SERVICE_HOST",
                         "OUTBOX_DB_PORT",
                         "OUTBOX_DB_PORT_5432_TCP_PROTO"};
  for (const auto* name : names) {
    EXPECT_TRUE(is_service_link(name)) << name;
    EXPECT_THAT(load({{name, "tcp://10.0.0.1:5432"}}).warnings, IsEmpty()) << name;
  }
  EXPECT_FALSE(is_service_link("OUTBOX_BATCH_SIZE"));
}

TEST(settings, no_setting_has_a_name_that_kubernetes_could_inject) {
  for (const auto& row : settings_table()) EXPECT_FALSE(is_service_link(row.name)) << row.name;
}

TEST(settings, the_database_is_found_in_the_documented_order) {
  const environment both{{"OUTBOX_DATABASE_URL", "dbname=a"}, {"DATABASE_URL", "dbname=b"}};
  EXPECT_EQ(load(both).values.database_url.value().value(), "dbname=a");
  EXPECT_EQ(load(both).values.migrate_database_url.value().value(), "dbname=a");
  const auto fallback = load({{"DATABASE_URL", "dbname=b"}});
  EXPECT_EQ(fallback.values.database_url.value().value(), "dbname=b");
  EXPECT_EQ(shown(fallback, "OUTBOX_DATABASE_URL").origin, "DATABASE_URL");
  EXPECT_EQ(load({{"OUTBOX_MIGRATE_DATABASE_URL", "dbname=c"}})
                .values.migrate_database_url.value()
                .value(),
            "dbname=c");
}

TEST(settings, the_broker_is_found_in_the_documented_order) {
  EXPECT_EQ(load({{"AMQP_URL", "amqp://b"}}).values.amqp_url.value().value(), "amqp://b");
  EXPECT_EQ(load({{"AMQP_URL", "amqp://b"}, {"OUTBOX_AMQP_URL", "amqp://a"}})
                .values.amqp_url.value()
                .value(),
            "amqp://a");
}

TEST(settings, a_wrong_broker_uri_is_reported_with_the_other_mistakes_and_without_its_password) {
  const auto loaded =
      load({{"OUTBOX_AMQP_URL", "amqp://u:verysecret@h?heartbat=1"}, {"OUTBOX_WAKE", "x"}});
  EXPECT_THAT(loaded.errors,
              ElementsAre(HasSubstr("OUTBOX_WAKE"),
                          AllOf(HasSubstr("OUTBOX_AMQP_URL"), HasSubstr("heartbat"))));
  EXPECT_THAT(loaded.errors, testing::Each(Not(HasSubstr("verysecret"))));
}

TEST(settings, user_and_password_override_those_of_every_node) {
  const auto nodes = broker_nodes(load({{"OUTBOX_AMQP_URL", "amqp://a:b@one,amqp://c:d@two"},
                                        {"OUTBOX_AMQP_USERNAME", "u"},
                                        {"OUTBOX_AMQP_PASSWORD", "p"}})
                                      .values);
  ASSERT_TRUE(nodes);
  ASSERT_THAT(*nodes, SizeIs(2));
  for (const auto& node : *nodes) {
    EXPECT_EQ(node.user, "u");
    EXPECT_EQ(node.password, "p");
  }
}

TEST(settings, a_secret_file_is_read_again_at_every_use) {
  const temporary_file file("first\n");
  const auto loaded = load({{"OUTBOX_AMQP_PASSWORD_FILE", file.path()}});
  ASSERT_THAT(loaded.errors, IsEmpty());
  EXPECT_THAT(loaded.warnings, IsEmpty());
  EXPECT_EQ(loaded.values.amqp_password.value().value(), "first");
  file.write("second");
  EXPECT_EQ(loaded.values.amqp_password.value().value(), "second");
  EXPECT_EQ(shown(loaded, "OUTBOX_AMQP_PASSWORD").origin, "OUTBOX_AMQP_PASSWORD_FILE");
}

TEST(settings, only_one_trailing_newline_of_a_secret_is_dropped) {
  const temporary_file file("two newlines \n\n");
  EXPECT_EQ(secret::file("X_FILE", file.path()).value().value(), "two newlines \n");
  file.write("windows\r\n");
  EXPECT_EQ(secret::file("X_FILE", file.path()).value().value(), "windows");
}

TEST(settings, a_secret_given_twice_is_an_error) {
  EXPECT_THAT(load({{"OUTBOX_AMQP_PASSWORD", "a"}, {"OUTBOX_AMQP_PASSWORD_FILE", "/b"}}).errors,
              ElementsAre(AllOf(HasSubstr("OUTBOX_AMQP_PASSWORD and OUTBOX_AMQP_PASSWORD_FILE"),
                                HasSubstr("both"))));
}

TEST(settings, an_unreadable_secret_file_is_named) {
  EXPECT_THAT(load({{"OUTBOX_DATABASE_URL_FILE", "/nowhere/url"}}).errors,
              ElementsAre(AllOf(HasSubstr("OUTBOX_DATABASE_URL_FILE"), HasSubstr("/nowhere/url"),
                                HasSubstr("No such file"))));
  EXPECT_THAT(load({{"OUTBOX_DATABASE_URL_FILE", "/"}}).errors,
              ElementsAre(HasSubstr("directory")));
}

TEST(settings, no_secret_is_shown) {
  const auto loaded = load({{"OUTBOX_DATABASE_URL", "postgres://u:verysecret@h/d"},
                            {"OUTBOX_AMQP_URL", "amqp://u:verysecret@h"},
                            {"OUTBOX_AMQP_USERNAME", "verysecret"},
                            {"OUTBOX_AMQP_PASSWORD", "verysecret"}});
  for (const auto format : {output_format::table, output_format::json}) {
    const auto text = render_settings(loaded, format);
    EXPECT_THAT(text, Not(HasSubstr("verysecret")));
    EXPECT_THAT(text, HasSubstr("***"));
    for (const auto& row : settings_table()) EXPECT_THAT(text, HasSubstr(std::string(row.name)));
  }
}

TEST(settings, config_says_where_a_value_came_from) {
  const auto loaded = load({{"OUTBOX_BATCH_SIZE", "10"}});
  EXPECT_EQ(shown(loaded, "OUTBOX_BATCH_SIZE").value, "10");
  EXPECT_EQ(shown(loaded, "OUTBOX_BATCH_SIZE").origin, "OUTBOX_BATCH_SIZE");
  EXPECT_FALSE(shown(loaded, "OUTBOX_BATCH_SIZE").is_default);
  EXPECT_EQ(shown(loaded, "OUTBOX_SCHEMA").origin, "default");
  EXPECT_TRUE(shown(loaded, "OUTBOX_SCHEMA").is_default);
}

TEST(settings, an_address_to_listen_on_is_an_ip_address_and_a_port) {
  EXPECT_EQ(parse_listen("127.0.0.1:0")->port, 0);
  EXPECT_EQ(parse_listen("[::1]:9654")->host, "::1");
  for (const auto* bad : {"", ":9654", "9654", "127.0.0.1", "::1:9654", "127.0.0.1:65536",
                          "[127.0.0.1]:1", "example.org:1", "1.2.3.4:"}) {
    EXPECT_FALSE(parse_listen(bad)) << bad;
  }
}

TEST(settings, the_instance_is_the_pod_or_the_host_with_four_hex_digits) {
  EXPECT_EQ(default_instance({{"POD_NAME", "users-7d9f-abcde"}}, "host", 0xbeef),
            "users-7d9f-abcde");
  EXPECT_EQ(default_instance({}, "host", 0x0bee), "host-0bee");
  EXPECT_EQ(default_instance({}, "", 1), "outboxd-0001");
  EXPECT_LE(default_instance({}, std::string(200, 'h'), 1).size(), 63u);
}

TEST(settings, the_committed_reference_is_what_the_table_says) {
  std::ifstream in(OUTBOXD_SOURCE_DIR "/docs/reference/configuration.md");
  std::stringstream committed;
  committed << in.rdbuf();
  EXPECT_EQ(committed.str(), settings_reference())
      << "run: outboxd config --reference configuration > docs/reference/configuration.md";
}

}  // namespace
}  // namespace outboxd::service
