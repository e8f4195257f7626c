// What is sent to servers on other hosts so that somebody on the way could read or change it.
#pragma once

#include <string>
#include <vector>

#include "service/settings.hpp"

namespace outboxd::service {

// One sentence for each setting that has it so, with what to write instead. Reads files of secrets.
std::vector<std::string> transport_cautions(const settings& s);

}  // namespace outboxd::service
