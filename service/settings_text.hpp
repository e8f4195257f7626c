// The table of settings as text: for `outboxd config`, for --help and for the reference.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "service/settings.hpp"
#include "service/settings_table.hpp"

namespace outboxd::service {

enum class output_format { table, json };

// Name, value and origin of every setting, secrets as ***.
std::string render_settings(const loaded_settings& loaded, output_format format);

// One line for each setting.
std::string settings_help();

// What holds for all of them, a sentence or two each; `…` is code, here and below.
std::span<const std::string_view> settings_rules();
std::string default_in_words(const setting& s);  // "`AMQP_URL`, then `amqp://…`"; may be empty
std::string meaning(const setting& s);

// docs/reference/configuration.md
std::string settings_reference();

// A file for systemd's EnvironmentFile= in which every setting is a comment.
std::string settings_example();

}  // namespace outboxd::service
