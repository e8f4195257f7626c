#include "service/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "service/metrics_table.hpp"
#include "service/process_sample.hpp"

namespace outboxd::service {
namespace {

using testing::ContainerEq;

relay::status leading() {
  relay::status s;
  s.lead = outbox::lead_state::leading;
  s.lanes = {{true, false, ""}, {true, false, ""}};
  s.backlog = outbox::backlog{3, 2, 1, std::nullopt};
  s.oldest_pending_age = std::chrono::milliseconds(1'500);
  s.unconfirmed = 7;
  s.held_keys = 4;
  s.holds = {{"e", "k", "returned", {}, {}, 3}, {"f", {}, "no_exchange", {}, {}, 3}};
  return s;
}

// "name{labels}" -> value, comments left out.
std::map<std::string, std::string> samples(const std::string& exposition) {
  std::map<std::string, std::string> all;
  std::istringstream in(exposition);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with('#'))
      all[line.substr(0, line.rfind(' '))] = line.substr(line.rfind(' ') + 1);
  }
  return all;
}

// The lines that describe: "# HELP name text" and "# TYPE name type".
std::set<std::string> described(std::istream&& exposition) {
  std::set<std::string> all;
  for (std::string line; std::getline(exposition, line);) {
    if (line.starts_with("# ")) all.insert(line);
  }
  return all;
}
std::set<std::string> described(const std::string& exposition) {
  return described(std::istringstream(exposition));
}

// Dashboards and alerts are built on these: a change here breaks someone.
const std::set<std::string> golden =
    described(std::ifstream(OUTBOXD_SOURCE_DIR "/tests/golden/metrics.txt"));

TEST(metrics, a_leader_exposes_every_metric_with_its_type_and_help) {
  EXPECT_GT(golden.size(), 70u);
  EXPECT_THAT(described(metrics().render(leading())), ContainerEq(golden));
}

TEST(metrics, a_stand_by_exposes_every_metric_but_the_oldest_age) {
  relay::status standby;
  standby.lead = outbox::lead_state::standby;
  metrics m;
  m.render(leading());
  auto expected = golden;
  EXPECT_EQ(std::erase_if(expected,
                          [](const std::string& line) {
                            return line.find(" outbox_oldest_pending_age_seconds ") !=
                                   std::string::npos;
                          }),
            2u);
  EXPECT_THAT(described(m.render(standby)), ContainerEq(expected));
  EXPECT_THAT(described(m.render(leading())), ContainerEq(golden));
}

TEST(metrics, the_table_lists_what_is_exposed) {
  std::set<std::string> listed;
  for (const auto& row : metrics_table()) {
    listed.insert("# HELP " + std::string(row.name) + " " + std::string(row.help));
    listed.insert("# TYPE " + std::string(row.name) + " " + std::string(to_string(row.kind)));
  }
  EXPECT_THAT(listed, ContainerEq(golden));
}

TEST(metrics, every_known_label_value_is_there_at_zero_from_the_start) {
  const auto at_start = samples(metrics().render({}));
  for (const auto& row : metrics_table()) {
    if (row.known_values.empty()) continue;
    for (const auto& value : split_values(row.known_values)) {
      std::string name(row.name);
      name.append(row.kind == metric_kind::histogram ? "_count" : "");
      name.append("{").append(row.label).append("=\"").append(value).append("\"}");
      ASSERT_TRUE(at_start.contains(name)) << name;
      EXPECT_EQ(at_start.at(name), "0") << name;
    }
  }
}

TEST(metrics, every_failure_verdict_has_its_own_counter) {
  using enum relay::verdict;
  for (const auto what : {returned, nacked, no_exchange, forbidden, refused, too_large, invalid}) {
    metrics m;
    m.failed(what);
    m.died(what);
    const auto all = samples(m.render({}));
    const auto labels = "{reason=\"" + std::string(to_string(what)) + "\"}";
    EXPECT_EQ(all.at("outbox_messages_failed_total" + labels), "1");
    EXPECT_EQ(all.at("outbox_messages_dead_total" + labels), "1");
  }
}

TEST(metrics, an_unknown_outcome_is_not_a_failure) {
  metrics m;
  m.unknown(relay::doubt::timeout);
  m.unknown(relay::doubt::connection_lost);
  m.unknown(relay::doubt::channel_closed);
  for (const auto& [name, value] : samples(m.render({}))) {
    const bool of_unknown = name.starts_with("outbox_messages_unknown_total");
    if (of_unknown || name.starts_with("outbox_messages_failed_total")) {
      EXPECT_EQ(value, of_unknown ? "1" : "0") << name;
    }
  }
}

TEST(metrics, hooks_count) {
  metrics m;
  m.published(100);
  m.published(20);
  m.confirmed(std::chrono::milliseconds(30), std::chrono::milliseconds(2));
  m.confirmed(std::nullopt, std::chrono::milliseconds(1));
  m.read(0);
  m.read(40);
  m.notified();
  m.lead_changed(true);
  m.broker_reconnected();
  m.broker_channel_error(404);
  m.broker_channel_error(599);
  m.broker_blocked_for(std::chrono::milliseconds(2'500));
  m.purged(12);
  m.db_query("settle", std::chrono::milliseconds(3));
  m.db_reconnected();
  m.logged(base::severity::warn);
  m.schema_version(3);
  const auto all = samples(m.render({}));
  EXPECT_EQ(all.at("outbox_messages_published_total"), "2");
  EXPECT_EQ(all.at("outbox_published_bytes_total"), "120");
  EXPECT_EQ(all.at("outbox_messages_confirmed_total"), "2");
  EXPECT_EQ(all.at("outbox_messages_replayed_total"), "1");
  EXPECT_EQ(all.at("outbox_delivery_latency_seconds_count"), "1")
      << "a replayed row is no delivery";
  EXPECT_EQ(all.at("outbox_delivery_latency_seconds_bucket{le=\"0.025\"}"), "0");
  EXPECT_EQ(all.at("outbox_delivery_latency_seconds_bucket{le=\"0.05\"}"), "1");
  EXPECT_EQ(all.at("outbox_confirm_latency_seconds_sum"), "0.003");
  EXPECT_EQ(all.at("outbox_db_polls_total"), "2");
  EXPECT_EQ(all.at("outbox_batch_messages_sum"), "40");
  EXPECT_EQ(all.at("outbox_db_notifications_total"), "1");
  EXPECT_EQ(all.at("outbox_leadership_changes_total"), "1");
  EXPECT_EQ(all.at("outbox_broker_reconnects_total"), "1");
  EXPECT_EQ(all.at("outbox_broker_channel_errors_total{code=\"404\"}"), "1");
  EXPECT_EQ(all.at("outbox_broker_channel_errors_total{code=\"other\"}"), "1");
  EXPECT_EQ(all.at("outbox_broker_blocked_seconds_total"), "2.5");
  EXPECT_EQ(all.at("outbox_messages_purged_total"), "12");
  EXPECT_EQ(all.at("outbox_db_query_duration_seconds_count{operation=\"settle\"}"), "1");
  EXPECT_EQ(all.at("outbox_db_reconnects_total"), "1");
  EXPECT_EQ(all.at("outbox_log_messages_total{level=\"warn\"}"), "1");
  EXPECT_EQ(all.at("outbox_schema_version"), "3");
}

TEST(metrics, gauges_follow_the_status) {
  metrics m;
  auto all = samples(m.render(leading()));
  EXPECT_EQ(all.at("outbox_pending_messages"), "3");
  EXPECT_EQ(all.at("outbox_deferred_messages"), "2");
  EXPECT_EQ(all.at("outbox_dead_messages"), "1");
  EXPECT_EQ(all.at("outbox_oldest_pending_age_seconds"), "1.5");
  EXPECT_EQ(all.at("outbox_unconfirmed_messages"), "7");
  EXPECT_EQ(all.at("outbox_held_keys"), "4");
  EXPECT_EQ(all.at("outbox_held_destinations"), "2");
  EXPECT_EQ(all.at("outbox_broker_connected"), "1");
  EXPECT_EQ(all.at("outbox_broker_blocked"), "0");
  EXPECT_EQ(all.at("outbox_db_connected"), "1");
  EXPECT_EQ(all.at("outbox_leader"), "1");

  auto worse = leading();
  worse.lanes[0].open = false;
  worse.lanes[1].blocked = true;
  worse.store_ok = false;
  all = samples(m.render(worse));
  EXPECT_EQ(all.at("outbox_broker_connected"), "0");
  EXPECT_EQ(all.at("outbox_broker_blocked"), "1");
  EXPECT_EQ(all.at("outbox_db_connected"), "0");

  all = samples(m.render({}));
  EXPECT_EQ(all.at("outbox_pending_messages"), "0");
  EXPECT_EQ(all.at("outbox_leader"), "0");
  EXPECT_EQ(all.at("outbox_db_connected"), "0");
}

TEST(metrics, one_instance_stays_within_four_hundred_series) {
  EXPECT_LE(samples(metrics().render(leading())).size(), 400u);
}

TEST(process_sample, a_command_with_blanks_and_parentheses_does_not_confuse_it) {
  const auto sample = parse_stat(
      "4711 (out) box) 9) S 1 4711 4711 0 -1 4194560 2200 0 0 0 150 50 0 0 20 0 5 0 8000 52428800 "
      "2560 "
      "18446744073709551615 1 1",
      100, 4096);
  ASSERT_TRUE(sample);
  EXPECT_DOUBLE_EQ(sample->cpu_seconds, 2.0);
  EXPECT_DOUBLE_EQ(sample->threads, 5);
  EXPECT_DOUBLE_EQ(sample->start_time_seconds, 80);
  EXPECT_DOUBLE_EQ(sample->virtual_bytes, 52'428'800);
  EXPECT_DOUBLE_EQ(sample->resident_bytes, 2560 * 4096);
}

TEST(process_sample, what_is_no_stat_line_gives_nothing) {
  for (const auto* bad :
       {"", "4711 (outboxd", "4711 (outboxd) S 1 2", "4711 (outboxd) S a b c d"}) {
    EXPECT_FALSE(parse_stat(bad, 100, 4096)) << bad;
  }
}

TEST(process_sample, this_process_has_memory_files_and_a_start) {
  const auto sample = sample_process();
  ASSERT_TRUE(sample);
  EXPECT_GT(sample->resident_bytes, 0);
  EXPECT_GE(sample->open_fds, 3);
  EXPECT_GE(sample->threads, 1);
  EXPECT_GT(sample->start_time_seconds, 1'500'000'000);
}

TEST(metrics, the_committed_reference_is_what_the_table_says) {
  std::ifstream in(OUTBOXD_SOURCE_DIR "/docs/reference/metrics.md");
  std::stringstream committed;
  committed << in.rdbuf();
  EXPECT_EQ(committed.str(), metrics_reference())
      << "run: outboxd config --reference metrics > docs/reference/metrics.md";
}

}  // namespace
}  // namespace outboxd::service
