// What is shipped beside the program agrees with it: alerts, their tests and their runbook, the
// dashboard.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace outboxd::tests {
namespace {

using testing::Contains;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

std::string content(const std::string& file) {
  std::ifstream in(std::filesystem::path(OUTBOXD_SOURCE_DIR) / file);
  if (!in) throw std::runtime_error("cannot read " + file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What the first group of the pattern matched, in the order of the text.
std::vector<std::string> found(const std::string& text, const std::regex& pattern) {
  return {std::sregex_token_iterator(text.begin(), text.end(), pattern, 1), {}};
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

class alerts : public testing::Test {
 protected:
  const std::string rules = content("deploy/prometheus/outboxd.rules.yml");
  const std::vector<std::string> names = found(rules, std::regex(R"(- alert: (\w+))"));
};

TEST_F(alerts, have_a_section_of_the_runbook_each_in_the_same_order) {
  std::vector<std::string> sections =
      found(content("docs/operations/alerts.md"), std::regex(R"(\n## (\w+)\n)"));
  EXPECT_GT(names.size(), 15u);
  std::ranges::sort(sections);
  std::vector<std::string> sorted = names;
  std::ranges::sort(sorted);
  EXPECT_THAT(sections, ElementsAreArray(sorted));
  std::vector<std::string> links = found(rules, std::regex(R"(runbook: .*#(\w+))"));
  ASSERT_THAT(links, SizeIs(names.size()));
  for (std::size_t i = 0; i < links.size(); ++i) EXPECT_EQ(links[i], lower(names[i]));
}

TEST_F(alerts, have_a_world_in_which_they_fire_and_one_in_which_they_are_silent) {
  const std::string worlds = content("deploy/prometheus/tests/outboxd_test.yml");
  const auto fire = found(worlds, std::regex(R"(- name: (\w+) fires\n)"));
  const auto silent = found(worlds, std::regex(R"(- name: (\w+) is silent\n)"));
  EXPECT_THAT(fire, ElementsAreArray(names));
  EXPECT_THAT(silent, ElementsAreArray(names));
}

TEST_F(alerts, ask_for_metrics_that_exist) {
  const auto known =
      found(content("docs/reference/metrics.md"), std::regex(R"(\| `(outbox_[a-z_]+)` \|)"));
  const std::regex expression(R"(expr: ('(?:[^']|'')*'))");
  for (const std::string& expr : found(rules, expression)) {
    for (std::string metric : found(expr, std::regex(R"(\b(outbox_[a-z_]+))"))) {
      if (metric.ends_with("_bucket")) metric.resize(metric.size() - 7);
      EXPECT_THAT(known, Contains(metric)) << expr;
    }
  }
}

TEST(dashboard, asks_for_metrics_that_exist_and_names_no_source_of_its_own) {
  const std::string dashboard = content("deploy/grafana/outboxd-overview.json");
  const auto known =
      found(content("docs/reference/metrics.md"), std::regex(R"(\| `([a-z_]+)` \|)"));
  const auto expressions = found(dashboard, std::regex(R"re("expr": "((?:[^"\\]|\\.)*)")re"));
  EXPECT_GT(expressions.size(), 30u);
  for (const std::string& expression : expressions) {
    const auto metrics = found(expression, std::regex(R"(\b((?:outbox|process)_[a-z_]+)\{)"));
    EXPECT_THAT(metrics, Not(IsEmpty())) << expression;
    for (std::string metric : metrics) {
      for (const std::string suffix : {"_bucket", "_count"}) {
        if (metric.ends_with(suffix)) metric.resize(metric.size() - suffix.size());
      }
      EXPECT_THAT(known, Contains(metric)) << expression;
    }
  }
  const auto sources = found(dashboard, std::regex(R"re("uid": "([^"]*)")re"));
  for (const std::string& uid : sources)
    EXPECT_TRUE(uid == "${DS_PROMETHEUS}" || uid == "outboxd-overview") << uid;
}

// What nobody looks at need not be there.
TEST(dashboard, shows_every_metric_but_those_of_limits_and_builds) {
  const std::string dashboard = content("deploy/grafana/outboxd-overview.json");
  const std::set<std::string> elsewhere{"outbox_messages_replayed_total", "outbox_schema_version",
                                        "outbox_broker_blocked_seconds_total"};
  for (const std::string& metric :
       found(content("docs/reference/metrics.md"), std::regex(R"(\| `(outbox_[a-z_]+)` \|)"))) {
    if (elsewhere.contains(metric)) continue;
    EXPECT_THAT(dashboard, HasSubstr(metric));
  }
}

// The unit waits longer than the process takes to end, and knows its exit statuses.
TEST(systemd_unit, agrees_with_the_program) {
  const std::string unit = content("deploy/systemd/outboxd@.service");
  EXPECT_THAT(unit, HasSubstr("\nRestartPreventExitStatus=64 78\n"));
  const std::string statuses = content("docs/reference/cli.md");
  EXPECT_THAT(statuses, HasSubstr("\n| 64 | usage"));
  EXPECT_THAT(statuses, HasSubstr("\n| 78 | bad configuration"));
  const auto shutdown = found(content("docs/reference/configuration.md"),
                              std::regex(R"(\| `OUTBOX_SHUTDOWN_TIMEOUT` \| `(\d+)s` \|)"));
  const auto stop = found(unit, std::regex(R"(\nTimeoutStopSec=(\d+)\n)"));
  ASSERT_THAT(shutdown, SizeIs(1));
  ASSERT_THAT(stop, SizeIs(1));
  EXPECT_GE(std::stoi(stop[0]), std::stoi(shutdown[0]) + 20) << "10 s are the program's own margin";
}

}  // namespace
}  // namespace outboxd::tests
