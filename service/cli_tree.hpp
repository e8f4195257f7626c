// The command line as data: what the manual and the completions of shells are printed from. It is
// read off the parser, so that a verb or an option that is added there is here too.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): of the library
class App;
}

namespace outboxd::service {

struct cli_option {
  std::vector<std::string> names;    // as they are written: "-o", "--output"; none: by its place
  std::string value;                 // what stands behind it, such as "TEXT"; empty: a flag
  std::vector<std::string> choices;  // all that may stand there; none: anything
  std::string sentence;
};

struct cli_verb {
  std::string name, sentence;
  std::vector<cli_option> options;
  std::vector<cli_verb> verbs;
};

// Without verbs that are reserved for later versions.
cli_verb read_tree(const CLI::App& app);

// Calls visit(path, verb) for each verb below the root, such as "dead" and "dead list", in order.
using verb_visitor = std::function<void(const std::string& path, const cli_verb& verb)>;
void each_verb(const cli_verb& root, const verb_visitor& visit);

}  // namespace outboxd::service
