// The documents say what is so: every test and every file they name exists, and the page of log
// events lists the events of the sources.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "outbox/migration_print.hpp"

namespace outboxd::tests {
namespace {

namespace fs = std::filesystem;
using names = std::set<std::string>;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

const fs::path root = OUTBOXD_SOURCE_DIR;

std::string content(const fs::path& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

// What the first group of the pattern matched, all over the text.
names found(const std::string& text, const std::regex& pattern) {
  return {std::sregex_token_iterator(text.begin(), text.end(), pattern, 1), {}};
}

std::vector<fs::path> files(std::initializer_list<const char*> folders, const std::regex& name) {
  std::vector<fs::path> result;
  for (const char* folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.is_regular_file() && std::regex_match(entry.path().filename().string(), name))
        result.push_back(entry.path());
    }
  }
  return result;
}

std::vector<fs::path> documents() {
  const std::regex markdown(R"(.*\.md)");
  auto all = files({"docs", "examples"}, markdown);
  for (const auto& entry : fs::directory_iterator(root)) {
    if (std::regex_match(entry.path().filename().string(), markdown)) all.push_back(entry.path());
  }
  return all;
}

names tests_in(const std::string& source) {
  names result;
  const std::regex test(R"(\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\))");
  for (std::sregex_iterator i(source.begin(), source.end(), test), end; i != end; ++i)
    result.insert((*i)[1].str() + "." + (*i)[2].str());
  return result;
}

// Those that break a line on purpose are tests too.
names mutations_in(const std::string& script) {
  names result;
  for (const auto& name : found(script, std::regex(R"(outboxd_mutation\((\w+)\s+BREAKS)")))
    result.insert("mutation." + name);
  return result;
}

names our_tests() {
  names result;
  for (const auto& file : files({"tests"}, std::regex(R"(.*\.[ch]pp)")))
    result.merge(tests_in(content(file)));
  for (const auto& file : files({"tests"}, std::regex("CMakeLists.txt")))
    result.merge(mutations_in(content(file)));
  return result;
}

// `suite.name_of_a_test`: the longest names of the text, so that `table.column` is not meant.
names tests_named_in(const std::string& document) {
  return found(document, std::regex(R"(`([a-z0-9_]+\.[a-z0-9]+(?:_[a-z0-9]+){2,})`)"));
}

// `folder/file.ext` and links to files; addresses elsewhere are not ours.
names paths_named_in(const std::string& document) {
  auto result = found(
      document,
      std::regex(R"(`((?:base|docs|examples|migrations|outbox|relay|service|tests)/[\w./-]*)`)"));
  result.merge(found(document, std::regex(R"(\]\(([^)#:]+)\))")));
  return result;
}

// Words joined by a dot in quotes; those of AMQP's methods are not events.
names logged_events(const std::string& source) {
  return found(
      source,
      std::regex(R"re("((?!(?:basic|channel|connection|exchange|confirm)\.)[a-z]+\.[a-z_]+)")re"));
}

names events_listed_in(const std::string& page) {
  return found(page, std::regex(R"(\|\s*`([a-z]+\.[a-z_]+)`\s*\|)"));
}

names difference(const names& a, const names& b) {
  names result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(result, result.end()));
  return result;
}

TEST(docs, every_test_they_name_exists) {
  const auto ours = our_tests();
  EXPECT_GT(ours.size(), 300u);
  for (const auto& file : documents())
    EXPECT_THAT(difference(tests_named_in(content(file)), ours), IsEmpty()) << file;
  EXPECT_THAT(tests_named_in(content(root / "ARCHITECTURE.md")), Not(IsEmpty()));
}

// A test that is not built holds nothing.
TEST(docs, every_test_there_is_is_built) {
  for (const auto& file : files({"tests"}, std::regex(R"(\w+_test\.cpp)"))) {
    const std::string stem = file.stem().string();
    const std::regex name("\\b" + stem.substr(0, stem.size() - 5) + "(?:_test\\.cpp)?\\b");
    EXPECT_TRUE(std::regex_search(content(file.parent_path() / "CMakeLists.txt"), name)) << file;
  }
}

TEST(docs, every_file_they_name_exists) {
  for (const auto& file : documents()) {
    for (const auto& path : paths_named_in(content(file))) {
      EXPECT_TRUE(exists(root / path) || exists(file.parent_path() / path))
          << file << " names " << path;
    }
  }
}

TEST(docs, the_page_of_log_events_lists_what_is_logged) {
  names logged;
  for (const auto& file : files({"outbox", "relay", "service"}, std::regex(R"(.*\.[ch]pp)")))
    logged.merge(logged_events(content(file)));
  const auto listed = events_listed_in(content(root / "docs/operations/events.md"));
  EXPECT_GT(logged.size(), 20u);
  EXPECT_THAT(difference(logged, listed), IsEmpty()) << "not in docs/operations/events.md";
  EXPECT_THAT(difference(listed, logged), IsEmpty()) << "no longer logged";
}

// The last cell of a row that is not the head of its table or the line below that.
std::vector<std::string> last_cells(const std::string& page) {
  std::vector<std::string> cells;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.ends_with("| test |")) continue;
    const auto end = line.rfind(" |");
    const auto begin = line.rfind("| ", end - 1) + 2;
    cells.push_back(line.substr(begin, end - begin));
  }
  return cells;
}

TEST(docs, every_fault_has_a_test_or_a_reason_and_what_it_shows_exists) {
  const auto page = content(root / "docs/operations/failures.md");
  const auto cells = last_cells(page);
  EXPECT_GT(cells.size(), 30u);
  for (const auto& cell : cells) {
    EXPECT_TRUE(!tests_named_in(cell).empty() || cell.starts_with("none: ")) << cell;
  }
  const auto events = found(page, std::regex(R"(`((?:amqp|database|destination|lead|log|relay|row|)"
                                             R"(schema|service)\.[a-z]+(?:_[a-z]+)?)`)"));
  EXPECT_THAT(events, Not(IsEmpty()));
  EXPECT_THAT(difference(events, events_listed_in(content(root / "docs/operations/events.md"))),
              IsEmpty());
  const auto metrics = found(page, std::regex(R"(`(outbox_[a-z_]+)[`{])"));
  EXPECT_THAT(metrics, Not(IsEmpty()));
  EXPECT_THAT(difference(metrics, found(content(root / "docs/reference/metrics.md"),
                                        std::regex(R"(\| `(outbox_[a-z_]+)` \|)"))),
              IsEmpty());
}

TEST(docs, every_format_of_migrate_print_has_its_recipe) {
  const auto recipes = root / "docs/recipes";
  const auto listed =
      found(content(recipes / "README.md"), std::regex(R"(\n\| [^|]+ \| `([a-z-]+)` \|)"));
  const auto& formats = outbox::print_formats();
  EXPECT_THAT(listed, testing::UnorderedElementsAreArray(formats));
  for (const auto& format : formats) {
    if (format == "sql") continue;  // needs none
    EXPECT_THAT(content(recipes / (format + ".md")),
                testing::HasSubstr("outboxd migrate print --format " + format + " "));
  }
}

// Those of tables, comments and code are as long as they have to be.
std::vector<std::string> long_lines(const std::string& document, std::size_t most) {
  std::vector<std::string> found;
  std::istringstream lines(document);
  bool code = false;
  for (std::string line; std::getline(lines, line);) {
    const auto text = line.substr(std::min(line.find_first_not_of(' '), line.size()));
    if (text.starts_with("```")) code = !code;
    if (code || text.starts_with('|') || text.starts_with("<!--")) continue;
    const auto characters =
        std::ranges::count_if(line, [](unsigned char c) { return (c & 0xC0U) != 0x80U; });
    if (static_cast<std::size_t>(characters) > most) found.push_back(line);
  }
  return found;
}

TEST(docs, lines_of_prose_end_at_120_columns) {
  for (const auto& file : documents())
    EXPECT_THAT(long_lines(content(file), 120), IsEmpty()) << file;
}

TEST(docs, what_is_looked_for_is_recognised) {
  EXPECT_THAT(tests_in("TEST_P(store_contract,\n       a_b) {\nTEST(docs, c_d) {"),
              ElementsAre("docs.c_d", "store_contract.a_b"));
  EXPECT_THAT(mutations_in("outboxd_mutation(a_b_c\n  BREAKS d\nfunction(outboxd_mutation name)"),
              ElementsAre("mutation.a_b_c"));
  EXPECT_THAT(tests_named_in("`walls.files_stay_small` and `outbox.messages` and `o.a_b`"),
              ElementsAre("walls.files_stay_small"));
  EXPECT_THAT(paths_named_in("`relay/core.hpp`, [here](docs/x.md), [there](https://a.b/c)"),
              ElementsAre("docs/x.md", "relay/core.hpp"));
  EXPECT_THAT(logged_events("log_.warn(\"a.b\"); write_log(base::severity::info, \"c.d_e\", {});"
                            "in_order(ok, \"basic.ack\", out); file.name \"a text. b\""),
              ElementsAre("a.b", "c.d_e"));
  EXPECT_THAT(last_cells("| fault | test |\n|---|---|\n| a | none: b |\nno row"),
              ElementsAre("none: b"));
  EXPECT_THAT(long_lines("abcd\n  äöü\n| abcdef |\n```\nabcdef\n```\nabcdef", 5),
              ElementsAre("abcdef"));
  EXPECT_THAT(events_listed_in("| `row.dead` | x |\n`no.event`"), ElementsAre("row.dead"));
}

}  // namespace
}  // namespace outboxd::tests
