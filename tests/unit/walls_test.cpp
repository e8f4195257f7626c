// Reads our own sources and holds the walls between the folders: which library may be used where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace outboxd::tests {
namespace {

struct source {
  std::string path;  // from the root of the repository
  std::vector<std::string> lines;
};

struct wall {
  std::regex pattern;
  std::regex allowed_in;
  std::string rule;
};

const std::string beside = "|(examples|tests|bench)/.*";

const wall postgres{std::regex(R"(^\s*#\s*include\s*[<"]pqxx)"), std::regex("outbox/.*" + beside),
                    "<pqxx/*> belongs into outbox/"};

const wall metrics{std::regex(R"(^\s*#\s*include\s*[<"]prometheus/)"),
                   std::regex(R"(service/metrics[^/]*)"),
                   "<prometheus/*> belongs into service/metrics*"};

// The outbox may end a socket that libpq owns (to wake a thread that waits on it), not use one.
const wall sockets{
    std::regex(R"(sys/socket\.h|ip::(tcp|udp)\b|local::stream_protocol|beast::tcp_stream)"),
    std::regex(R"(relay/amqp/stream[^/]*|service/(http|health)[^/]*|outbox/session[^/]*)" + beside),
    "sockets belong into relay/amqp/stream* and service/http*"};

const wall environment{std::regex(R"(\bgetenv\b|\benviron\b|\bargv\b)"),
                       std::regex("service/.*" + beside),
                       "argv and the environment belong into service/"};

const wall amqp{std::regex(R"(^\s*#\s*include\s*[<"](rabbitmq-c/|amqp\.h))"),
                std::regex("base/compat.hpp|relay/amqp/.*" + beside),
                "the AMQP library belongs into relay/amqp/"};

const std::string pure =
    R"((outbox/(reader|wake|lead_fsm)|relay/(core[a-z_]*|key_order|destinations[a-z_]*|skipped|window|)"
    R"(pauses|renewals|row_table|purge_pace)|relay/amqp/(codec[a-z_]*|session|confirms|topology))\..*)";
const wall decisions{std::regex(R"(::now\(|boost/asio|base/log\.hpp|<random>|this_thread)"),
                     std::regex("(?!" + pure + ").*"),
                     "what decides has no clock, no luck, no I/O and no log"};

// What a folder may include of ours: the table in ARCHITECTURE.md.
struct folder {
  std::regex files;
  std::regex includes;
};
const std::vector<folder> folders{
    {std::regex("base/.*"), std::regex("base/.*")},
    {std::regex("outbox/.*"), std::regex("(base|migrations|outbox)/.*")},
    {std::regex("relay/[^/]*"),
     std::regex(R"((base|relay)/[^/]*|outbox/(leadership|message|pause|reader|store|wake)\.hpp)")},
    {std::regex("relay/amqp/.*"),
     std::regex(R"((base|relay/amqp)/.*|relay/(publisher|verdict)\.hpp|outbox/message\.hpp)")},
    {std::regex("service/.*"), std::regex("(base|migrations|outbox|relay|service)/.*")}};

constexpr std::size_t most_lines = 400;

// What stands behind // may say anything.
std::string without_comment(const std::string& line) {
  return line.substr(0, line.find("//"));
}

std::vector<std::string> violations(const wall& of, const std::vector<source>& sources) {
  std::vector<std::string> found;
  for (const source& s : sources) {
    if (std::regex_match(s.path, of.allowed_in)) continue;
    for (std::size_t i = 0; i < s.lines.size(); ++i) {
      if (std::regex_search(without_comment(s.lines[i]), of.pattern))
        found.push_back(s.path + ":" + std::to_string(i + 1) + ": " + of.rule);
    }
  }
  return found;
}

std::vector<std::string> includes_from_above(const std::vector<source>& sources) {
  const std::regex include(R"re(^\s*#\s*include\s*"([^"]+)")re");
  std::vector<std::string> found;
  for (const source& s : sources) {
    for (const folder& f : folders) {
      if (!std::regex_match(s.path, f.files)) continue;
      for (const std::string& line : s.lines) {
        std::smatch which;
        if (std::regex_search(line, which, include) &&
            !std::regex_match(which[1].str(), f.includes))
          found.push_back(s.path + " may not include " + which[1].str());
      }
    }
  }
  return found;
}

std::vector<std::string> too_long(const std::vector<source>& sources) {
  std::vector<std::string> found;
  for (const source& s : sources) {
    if (s.lines.size() > most_lines)
      found.push_back(s.path + ": " + std::to_string(s.lines.size()) + " lines, more than " +
                      std::to_string(most_lines));
  }
  return found;
}

std::vector<std::string> without_pragma_once(const std::vector<source>& sources) {
  std::vector<std::string> found;
  for (const source& s : sources) {
    if (s.path.ends_with(".hpp") && std::ranges::find(s.lines, "#pragma once") == s.lines.end())
      found.push_back(s.path + ": a header without #pragma once");
  }
  return found;
}

source read(const std::filesystem::path& root, const std::filesystem::path& file) {
  source result{file.lexically_relative(root).generic_string(), {}};
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) result.lines.push_back(line);
  return result;
}

const std::vector<source>& our_sources() {
  static const std::vector<source> all = [] {
    const std::filesystem::path root = OUTBOXD_SOURCE_DIR;
    std::vector<source> result;
    for (const char* folder :
         {"base", "outbox", "relay", "service", "migrations", "examples", "tests", "bench"}) {
      if (!exists(root / folder)) continue;
      for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
        const auto extension = entry.path().extension();
        if (extension == ".hpp" || extension == ".cpp") result.push_back(read(root, entry.path()));
      }
    }
    return result;
  }();
  return all;
}

using testing::ElementsAre;
using testing::IsEmpty;

TEST(walls, the_sources_are_found) {
  EXPECT_GT(our_sources().size(), 20u);
}

TEST(walls, only_the_outbox_speaks_to_postgres) {
  EXPECT_THAT(violations(postgres, our_sources()), IsEmpty());
}

TEST(walls, only_the_metrics_know_the_metrics_library) {
  EXPECT_THAT(violations(metrics, our_sources()), IsEmpty());
}

TEST(walls, only_the_amqp_folder_knows_the_amqp_library) {
  EXPECT_THAT(violations(amqp, our_sources()), IsEmpty());
}

TEST(walls, no_folder_includes_what_is_above_it) {
  EXPECT_THAT(includes_from_above(our_sources()), IsEmpty());
}

TEST(walls, what_decides_has_no_clock_no_luck_and_no_io) {
  EXPECT_THAT(violations(decisions, our_sources()), IsEmpty());
}

TEST(walls, only_the_stream_and_the_http_server_have_sockets) {
  EXPECT_THAT(violations(sockets, our_sources()), IsEmpty());
}

TEST(walls, only_the_process_reads_arguments_and_environment) {
  EXPECT_THAT(violations(environment, our_sources()), IsEmpty());
}

TEST(walls, files_stay_small) {
  EXPECT_THAT(too_long(our_sources()), IsEmpty());
}

TEST(walls, headers_may_be_without_pragma_once) {
  EXPECT_THAT(without_pragma_once(our_sources()), IsEmpty());
}

TEST(walls, a_violation_is_named_with_its_place_and_its_rule) {
  const std::vector<source> bad{
      {"relay/core.cpp",
       {"", "#include <pqxx/pqxx>  // for once", "clock::now();",
        "#include \"outbox/session.hpp\""}},
      {"service/http_server.cpp", {"#include <prometheus/registry.h>"}},
      {"outbox/lane.cpp", {"boost::asio::ip::tcp::socket s;", "std::getenv(\"HOME\");"}},
      {"base/long.hpp", std::vector<std::string>(most_lines + 1, "// argv, ip::tcp, <pqxx/pqxx>")}};
  EXPECT_THAT(violations(postgres, bad),
              ElementsAre("relay/core.cpp:2: <pqxx/*> belongs into outbox/"));
  EXPECT_THAT(
      violations(metrics, bad),
      ElementsAre("service/http_server.cpp:1: <prometheus/*> belongs into service/metrics*"));
  EXPECT_THAT(
      violations(sockets, bad),
      ElementsAre("outbox/lane.cpp:1: sockets belong into relay/amqp/stream* and service/http*"));
  EXPECT_THAT(
      violations(decisions, bad),
      ElementsAre("relay/core.cpp:3: what decides has no clock, no luck, no I/O and no log"));
  EXPECT_THAT(includes_from_above(bad),
              ElementsAre("relay/core.cpp may not include outbox/session.hpp"));
  EXPECT_THAT(violations(environment, bad),
              ElementsAre("outbox/lane.cpp:2: argv and the environment belong into service/"));
  EXPECT_THAT(too_long(bad), ElementsAre("base/long.hpp: 401 lines, more than 400"));
  EXPECT_THAT(without_pragma_once(bad),
              ElementsAre("base/long.hpp: a header without #pragma once"));
}

}  // namespace
}  // namespace outboxd::tests
