// Completion of the command line in shells, made from the parser's own verbs and options.
#pragma once

#include <string>

namespace outboxd::service {

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace outboxd::service
