#include "service/log.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/json/parse.hpp>

#include <array>
#include <map>
#include <vector>

namespace outboxd::service {
namespace {

using base::field;
using base::severity;
using testing::HasSubstr;
using testing::Not;

constexpr auto when = std::chrono::sys_days{std::chrono::year{2024} / 2 / 29} +
                      std::chrono::hours(23) + std::chrono::milliseconds(7);

std::string line(log_format format, std::initializer_list<field> fields) {
  return render_line(format, when, severity::warn, "lane.lost", "pod-1",
                     {fields.begin(), fields.size()});
}

struct pipe_pair {
  pipe_pair() { EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0); }
  ~pipe_pair() {
    for (const int end : ends) ::close(end);
  }
  std::string drain() const {
    std::string all;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
      all.append(buffer.data(), static_cast<std::size_t>(n));
    return all;
  }
  std::array<int, 2> ends{};
};

TEST(log, json_has_time_level_event_and_instance_before_the_fields) {
  EXPECT_EQ(
      line(log_format::json, {{"lane", 3}, {"reason", "gone away"}, {"tls", true}}),
      R"({"ts":"2024-02-29T23:00:00.007Z","level":"warn","event":"lane.lost","instance":"pod-1",)"
      R"("lane":3,"reason":"gone away","tls":true})");
}

TEST(log, text_quotes_only_what_needs_it) {
  EXPECT_EQ(
      line(log_format::text,
           {{"lane", 3}, {"reason", "gone away"}, {"host", "db:5432"}, {"user", ""}}),
      R"(2024-02-29T23:00:00.007Z warn  lane.lost lane=3 reason="gone away" host=db:5432 user="")");
}

TEST(log, a_time_before_the_epoch_is_still_a_time) {
  const auto early =
      std::chrono::sys_days{std::chrono::year{1969} / 12 / 31} + std::chrono::milliseconds(1);
  EXPECT_THAT(render_line(log_format::text, early, severity::info, "e", "", {}),
              HasSubstr("1969-12-31T00:00:00.001Z"));
}

TEST(log, foreign_text_can_neither_forge_a_line_nor_move_the_cursor) {
  for (const auto format : {log_format::json, log_format::text}) {
    const auto text =
        line(format, {{"reason", std::string("a\nlevel=error\r\x1b[2J\0\x7f\xc2\x9b", 22)}});
    EXPECT_THAT(text, HasSubstr(R"(a\nlevel=error\u000d\u001b[2J\u0000\u007f\u009b)"));
    for (const char c : text) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  }
}

TEST(log, quotes_and_backslashes_are_escaped) {
  EXPECT_THAT(line(log_format::json, {{"reason", R"(no queue "a\b")"}}),
              HasSubstr(R"("no queue \"a\\b\"")"));
}

TEST(log, utf8_passes_and_everything_else_is_replaced) {
  EXPECT_THAT(line(log_format::json, {{"reason", "Bücher 本 🙂"}}),
              HasSubstr("Bücher 本 🙂"));
  const std::map<std::string, std::string> bad{
      {"latin1 \xfc.", R"(latin1 \ufffd.)"},
      {"cut \xe6\x9c", R"(cut \ufffd\ufffd)"},
      {"long \xc0\xaf", R"(long \ufffd\ufffd)"},
      {"surrogate \xed\xa0\x80", R"(surrogate \ufffd\ufffd\ufffd)"},
      {"high \xf4\x90\x80\x80", R"(high \ufffd\ufffd\ufffd\ufffd)"},
      {"no lead \xf9\x80\x80\x80", R"(no lead \ufffd\ufffd\ufffd\ufffd)"}};
  for (const auto& [text, expected] : bad)
    EXPECT_THAT(line(log_format::json, {{"r", text}}), HasSubstr(expected));
}

TEST(log, writes_one_line_per_call_and_counts_it) {
  const pipe_pair pipe;
  std::map<severity, int> counted;
  log out({.lowest = severity::info,
           .format = log_format::json,
           .instance = "i",
           .descriptor = pipe.ends[1],
           .on_line = [&](severity level) { ++counted[level]; }});
  out.info("relay.started", {{"rows", 2}});
  out.error("relay.failed");
  out.debug("relay.detail");
  const auto text = pipe.drain();
  EXPECT_THAT(
      text,
      testing::MatchesRegex(
          "\\{.*relay.started.*\"rows\":2\\}\n\\{.*\"level\":\"error\".*relay.failed.*\\}\n"));
  EXPECT_EQ(counted, (std::map<severity, int>{{severity::info, 1}, {severity::error, 1}}));
}

TEST(log, a_reader_that_stalls_costs_lines_and_never_blocks) {
  const pipe_pair pipe;
  // As the process would have it: a blocking descriptor.
  ASSERT_EQ(::fcntl(pipe.ends[1], F_SETFL, 0), 0);
  log out({.format = log_format::text, .descriptor = pipe.ends[1]});
  const std::string filler(900, 'x');
  for (int i = 0; i < 200; ++i) out.info("noise", {{"filler", filler}});
  pipe.drain();
  out.info("relay.resumed");
  const auto text = pipe.drain();
  EXPECT_THAT(text, HasSubstr("log.dropped lines="));
  EXPECT_THAT(text, HasSubstr("relay.resumed"));
  out.info("relay.going_on");
  EXPECT_THAT(pipe.drain(), Not(HasSubstr("log.dropped")));
}

TEST(log, a_very_long_value_is_cut) {
  const pipe_pair pipe;
  log out({.descriptor = pipe.ends[1]});
  out.info("broker.said", {{"text", std::string(50'000, 'x')}});
  const auto text = pipe.drain();
  EXPECT_THAT(text, HasSubstr("broker.said"));
  EXPECT_LT(text.size(), 1'500u);
}

TEST(log, whatever_the_values_are_the_line_fits_and_has_every_field) {
  const std::string escapes(1'000, '\x01'), wide = std::string(999, 'x') + "é";
  std::vector<field> many{{"rows", 1'000'000}, {"done", true}};
  for (int i = 0; i < 60; ++i) many.emplace_back("a_key_of_some_length", escapes);
  for (const auto& fields :
       {std::vector<field>{{"action", "pause"}, {"reason", escapes}},
        std::vector<field>{{"a", wide}, {"b", wide}, {"c", wide}, {"d", wide}}, many}) {
    const pipe_pair pipe;
    log out({.format = log_format::json, .instance = "pod-1", .descriptor = pipe.ends[1]});
    out.write(severity::info, "admin.action", fields);
    const auto text = pipe.drain();
    ASSERT_LE(text.size(), 4'096u);
    ASSERT_THAT(text, testing::EndsWith("}\n"));
    const auto line = boost::json::parse(text).as_object();
    EXPECT_EQ(line.at("event"), "admin.action");
    for (const field& f : fields) EXPECT_TRUE(line.contains(f.key)) << f.key;
    if (fields[0].key == "action") {
      EXPECT_EQ(line.at("action"), "pause");
    }
    if (fields[0].key == "rows") {
      EXPECT_EQ(line.at("rows"), 1'000'000);
    }
  }
}

TEST(log, level_and_format_follow_the_settings) {
  EXPECT_EQ(to_severity("debug"), severity::debug);
  EXPECT_EQ(to_severity("info"), severity::info);
  EXPECT_EQ(to_severity("warn"), severity::warn);
  EXPECT_EQ(to_severity("error"), severity::error);
  EXPECT_EQ(to_log_format("auto", true), log_format::text);
  EXPECT_EQ(to_log_format("auto", false), log_format::json);
  EXPECT_EQ(to_log_format("text", false), log_format::text);
  EXPECT_EQ(to_log_format("json", true), log_format::json);
}

}  // namespace
}  // namespace outboxd::service
