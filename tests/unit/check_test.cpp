#include "service/check.hpp"

#include <gtest/gtest.h>

namespace outboxd::service {
namespace {

using base::failure_kind;

const std::vector<check_line> some_lines{
    {"settings", check_state::ok, "all understood"},
    {"grants", check_state::warn, "may insert"},
    {"broker amqp://h", check_state::fail, "connection refused", failure_kind::unavailable},
};

TEST(check, one_line_for_each_check) {
  EXPECT_EQ(render_checks(some_lines, output_format::table),
            "ok    settings: all understood\n"
            "warn  grants: may insert\n"
            "FAIL  broker amqp://h: connection refused\n");
}

TEST(check, json_is_a_list_of_the_same) {
  EXPECT_EQ(render_checks({{"settings", check_state::ok, ""}}, output_format::json),
            "[{\"check\":\"settings\",\"state\":\"ok\",\"text\":\"\"}]\n");
}

TEST(check, a_warning_is_no_failure) {
  EXPECT_EQ(judge({some_lines[0], some_lines[1]}), exit_code::done);
}

TEST(check, the_first_failure_decides_the_exit_status) {
  EXPECT_EQ(judge(some_lines), exit_code::unavailable);
  EXPECT_EQ(judge({{"grants", check_state::fail, "", failure_kind::forbidden}, some_lines[2]}),
            exit_code::forbidden);
  EXPECT_EQ(judge({{"schema", check_state::fail, "", failure_kind::not_ready}}),
            exit_code::configuration);
}

}  // namespace
}  // namespace outboxd::service
