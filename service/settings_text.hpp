// The table of settings as text: for `outboxd config`, for --help and for the reference.
#pragma once

#include <string>

#include "service/settings.hpp"

namespace outboxd::service {

enum class output_format { table, json };

// Name, value and origin of every setting, secrets as ***.
std::string render_settings(const loaded_settings& loaded, output_format format);

// One line for each setting.
std::string settings_help();

// docs/reference/configuration.md
std::string settings_reference();

}  // namespace outboxd::service
