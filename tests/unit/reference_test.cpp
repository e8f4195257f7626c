// The pages that the program prints about itself: manual, completions, the example of settings.
#include "service/reference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

#include "service/cli.hpp"
#include "service/exit_code.hpp"
#include "service/settings_table.hpp"

namespace outboxd::service {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

std::string page_of_the_command_line() {
  std::ifstream in(std::filesystem::path(OUTBOXD_SOURCE_DIR) / "docs/reference/cli.md");
  return {std::istreambuf_iterator<char>(in), {}};
}

// In roff a typed hyphen is \-.
std::string in_roff(const std::string& text) {
  return std::regex_replace(text, std::regex("-"), "\\-");
}

const cli_verb& child(const cli_verb& verb, std::string_view name) {
  for (const auto& candidate : verb.verbs) {
    if (candidate.name == name) return candidate;
  }
  throw std::logic_error("no verb " + std::string(name));
}

const cli_option& option(const cli_verb& verb, const std::string& name) {
  for (const auto& candidate : verb.options) {
    if (std::ranges::find(candidate.names, name) != candidate.names.end()) return candidate;
  }
  throw std::logic_error("no option " + name);
}

TEST(command_tree, is_what_the_parser_knows) {
  const auto root = command_tree();
  EXPECT_THAT(option(root, "-o").names, ElementsAre("-o", "--output"));
  EXPECT_THAT(option(root, "-o").choices, ElementsAre("table", "json"));
  EXPECT_EQ(option(root, "--help").value, "");
  EXPECT_EQ(option(root, "--version").value, "");
  EXPECT_THAT(option(child(child(root, "migrate"), "print"), "--format").choices,
              Contains("flyway"));
  const auto& list = child(child(root, "dead"), "list");
  EXPECT_EQ(option(list, "--since").value, "TEXT");
  EXPECT_EQ(option(list, "--limit").value, "NUMBER");
  EXPECT_EQ(option(child(child(root, "dead"), "retry"), "--all").value, "");
}

// Whatever is offered is there: no verb of a later version is.
TEST(command_tree, offers_verbs_that_can_be_run) {
  std::size_t verbs = 0;
  each_verb(command_tree(), [&](const std::string& path, const cli_verb&) {
    auto line = words_of(path);
    line.emplace_back("--help");
    const auto answer = std::get<answer_command>(parse_command_line(line).what);
    EXPECT_EQ(answer.code, exit_code::done) << path << ": " << answer.text;
    ++verbs;
  });
  EXPECT_GE(verbs, 12u);
}

TEST(reference, every_verb_and_option_is_in_the_manual_and_in_the_completions) {
  const auto manual = reference_page("man");
  const auto root = command_tree();
  each_verb(root, [&](const std::string& path, const cli_verb& verb) {
    EXPECT_THAT(lines_of(manual), Contains("\\fB" + in_roff(path) + "\\fR"));
    EXPECT_THAT(reference_page("bash"), HasSubstr("'" + path + "') words="));
    EXPECT_THAT(reference_page("zsh"), HasSubstr("'" + path + "') verbs="));
    EXPECT_THAT(reference_page("fish"), HasSubstr(" -a " + verb.name + " -d "));
    for (const auto& o : verb.options) {
      for (const auto& name : o.names) EXPECT_THAT(manual, HasSubstr("\\fB" + in_roff(name)));
    }
  });
}

TEST(reference, the_page_of_the_command_line_names_every_verb) {
  const auto page = page_of_the_command_line();
  each_verb(command_tree(), [&](const std::string& path, const cli_verb& verb) {
    if (!verb.verbs.empty()) return;  // its verbs are named
    EXPECT_TRUE(std::regex_search(page, std::regex("\\| `" + path + "[` ]"))) << path;
  });
}

TEST(reference, the_page_of_the_command_line_has_the_exit_statuses_of_the_manual) {
  const auto lines = lines_of(page_of_the_command_line());
  for (const auto& row : exit_meanings()) {
    const auto code = std::to_string(static_cast<int>(row.code));
    EXPECT_THAT(lines, Contains("| " + code + " | " + std::string(row.sentence) + " |"))
        << "service/exit_code.cpp says otherwise";
  }
}

// What is no request is text, and text begins no request.
TEST(reference, the_manual_makes_only_requests_that_it_means_to_make) {
  const std::regex request(R"(\.(\\"|TH|SH|TP|IP|RS|RE|PP|B|I|BR|RI|IR|nh|ad)( .*)?)");
  for (const char* name : {"man", "man-env"}) {
    for (const auto& line : lines_of(reference_page(name))) {
      EXPECT_THAT(line, Not(IsEmpty())) << name;
      EXPECT_NE(line.front(), '\'') << name;
      EXPECT_TRUE(line.front() != '.' || std::regex_match(line, request)) << name << ": " << line;
    }
  }
}

TEST(reference, the_manual_of_settings_has_them_all) {
  const auto manual = lines_of(reference_page("man-env"));
  for (const auto& row : settings_table())
    EXPECT_THAT(manual, Contains("\\fB" + std::string(row.name) + "\\fR"));
}

// Taken out of their comments, the lines of the example are an environment, and change nothing.
TEST(reference, the_example_of_settings_says_the_defaults) {
  environment env;
  const std::regex assignment(R"(#(OUTBOX_\w+)=(.*))");
  for (const auto& line : lines_of(reference_page("example"))) {
    EXPECT_TRUE(line.empty() || line.front() == '#') << line;
    if (std::smatch match; std::regex_match(line, match, assignment))
      env[match[1].str()] = match[2].str();
  }
  const auto loaded = load(env);
  EXPECT_THAT(loaded.errors, IsEmpty());
  EXPECT_THAT(loaded.warnings, IsEmpty());
  for (const auto& row : settings_table()) {
    ASSERT_TRUE(env.contains(std::string(row.name))) << row.name;
    EXPECT_EQ(env[std::string(row.name)], row.default_value) << row.name;
  }
}

}  // namespace
}  // namespace outboxd::service
