// The files of this folder, as they were when the binary was built.
#pragma once

#include <string_view>

namespace outboxd::service::page {

// Holds {{role}}, {{style}} and {{script}}, once each.
extern const std::string_view html;
extern const std::string_view style;
extern const std::string_view script;

}  // namespace outboxd::service::page
